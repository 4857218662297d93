"""Fixtures that several test files share. They are small, made once, and need neither network nor accelerator."""

import os
import socket
from pathlib import Path
from typing import NamedTuple

import cv2
import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs.common import data
from vidjax import train
from vidjax.data import dataset_info, make_records, pipeline, records, tfrecords
from vidjax.data.synthetic import motion
from vidjax.export import __main__ as export
from vidjax.inference import restore


def pytest_configure(config):
    """Lets XLA compile without LLVM's optimisations, and keeps what it compiles for other workers and the next run.

    The tests compile far more than they compute. Processes that tests start inherit both.
    """
    if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
        flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}".strip()
    compiled = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.rootpath / ".pytest_cache/compiled"))
    os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    jax.config.update("jax_compilation_cache_dir", compiled)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Frees the programs of a module after its last test: thousands would take gigabytes."""
    yield
    jax.clear_caches()


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real videos and published outputs, where VIDJAX_TEST_DATA says that they are."""
    if "VIDJAX_TEST_DATA" not in os.environ:
        pytest.skip("real data is not here: set VIDJAX_TEST_DATA to its directory")
    return Path(os.environ["VIDJAX_TEST_DATA"])


def numbered_video(video: int, num_frames: int, height=12, width=16) -> np.ndarray:
    """Frame i of video v: red is 10 * v, green is i, blue the column, so that a clip tells where it was cut."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[..., 0] = 10 * video
    frames[..., 1] = np.arange(num_frames)[:, None, None]
    frames[..., 2] = np.arange(width)
    return frames


def write_numbered(directory: Path, split: str, num_videos: int, num_frames: int, labels=lambda v: [v % 2]):
    """A shard of `numbered_video`s, PNG, 2 classes."""

    def encoded(video):
        frames = numbered_video(video, num_frames)
        images = [cv2.imencode(".png", frame[:, :, ::-1])[1].tobytes() for frame in frames]
        return records.encode(records.Example(images=images, labels=labels(video), media_id=f"video {video}", fps=10.0))

    tfrecords.write_shard(tfrecords.shard_path(directory, split, 0, 1), map(encoded, range(num_videos)))


@pytest.fixture(scope="session")
def numbered_records(tmp_path_factory) -> Path:
    """A dataset of 11 videos of 9 frames of 12x16, classes "a" and "b", which mirroring swaps."""
    directory = tmp_path_factory.mktemp("numbered")
    write_numbered(directory, "train", 11, 9)
    dataset_info.write(directory, dataset_info.DatasetInfo(["a", "b"], [1, 0], [1, 0]), complete=True)
    return directory


@pytest.fixture(scope="session")
def numbered_features(tmp_path_factory) -> Path:
    """Features of 6 videos: video v has v + 1 steps of the vector (v, step, 1)."""
    directory = tmp_path_factory.mktemp("features")
    sequences = [np.array([(v, step, 1) for step in range(v + 1)], np.float32) for v in range(6)]
    examples = [
        records.Example(images=[], labels=[v % 2], features={"RGB": sequence}) for v, sequence in enumerate(sequences)
    ]
    tfrecords.write_shard(tfrecords.shard_path(directory, "train", 0, 1), map(records.encode, examples))
    inputs = {"prefix": "RGB", "width": 3, "layer": "features", "source": "made up", "clip": {}}
    dataset_info.write(directory, dataset_info.DatasetInfo(["a", "b"], "unchanged", inputs=inputs), complete=True)
    return directory


@pytest.fixture(scope="session")
def frame_labels(tmp_path_factory) -> Path:
    """Features of 6 videos of 10, 9, 8, 7, 6 and 5 steps with a label each: video v has the vectors (v, step, 1).

    The class of a step is whether v + step is odd; that of a video is v % 2.
    """
    directory = tmp_path_factory.mktemp("frame_labels")
    examples = []
    for v in range(6):
        sequence = np.array([(v, step, 1) for step in range(10 - v)], np.float32)
        labels = [(v + step) % 2 for step in range(10 - v)]
        examples.append(records.Example([], [v % 2], features={"RGB": sequence}, frame_labels=labels, media_id=str(v)))
    for split in ("train", "test"):
        tfrecords.write_shard(tfrecords.shard_path(directory, split, 0, 1), map(records.encode, examples))
    inputs = {"prefix": "RGB", "width": 3, "layer": "features", "source": "made up", "clip": {}}
    dataset_info.write(directory, dataset_info.DatasetInfo(["a", "b"], "unchanged", inputs=inputs), complete=True)
    return directory


@pytest.fixture(scope="session")
def tiny_motion(tmp_path_factory) -> Path:
    """The motion dataset in small: 8 frames of 32x32, PNG, without the way through mp4; 32 train, 8 val, 16 test."""
    directory = tmp_path_factory.mktemp("tiny_motion")
    for split, first, count in (("train", 0, 32), ("val", 1000, 8), ("test", 2000, 16)):

        def encoded(i, first=first):
            frames = motion.clip(i % 8, first + i, num_frames=8, size=32)
            images = [cv2.imencode(".png", frame[:, :, ::-1])[1].tobytes() for frame in frames]
            return records.encode(records.Example(images=images, labels=[i % 8], fps=8.0, height=32, width=32))

        tfrecords.write_shard(tfrecords.shard_path(directory, split, 0, 1), map(encoded, range(count)))
    info = dataset_info.DatasetInfo(list(motion.CLASSES), "forbidden", list(motion.REVERSED))
    dataset_info.write(directory, info, complete=True)
    return directory


@pytest.fixture
def tiny_config(tiny_motion) -> ConfigDict:
    """A run of 12 steps on `tiny_motion` that compiles in seconds."""
    return tiny_settings(tiny_motion)


def tiny_settings(dataset: Path) -> ConfigDict:
    """A narrow `frame_pool`, 3 epochs in batches of 8."""
    config = data.get_config("motion", "small")
    config.dataset = str(dataset)
    config.clip = ConfigDict({"num_frames": 4, "frame_stride": 2, "size": 32, "resize": 0, "sampling": "clip"})
    config.model = ConfigDict({"name": "frame_pool", "backbone": {"name": "resnet18", "width": 1 / 16}, "dropout": 0.1})
    config.optimizer = ConfigDict({"name": "adamw", "weight_decay": 0.01})
    config.schedule = ConfigDict({"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 2})
    config.batch_size = 8
    config.num_epochs = 3.0
    config.log_every, config.eval_every, config.checkpoint_every = 1, 6, 4
    config.eval = ConfigDict({"num_views": 1, "num_crops": 1, "batch_size": 8})
    config.num_threads = 2
    return config


class TinyRun(NamedTuple):
    """A run on videos that went the whole way, with what it was made from."""

    workdir: Path
    records: Path
    videos: dict[str, list[Path]]  # by split, in the order of the records


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> TinyRun:
    """Motion as mp4 files of 24 frames of 64x64, 8 a split, records of them as PNG, and a `frame_pool` of 3 steps."""
    directory = tmp_path_factory.mktemp("tiny_run")
    arguments = ["motion", "--out", str(directory / "data"), "--motion_videos", "8", "8", "8", "--short_side", "48"]
    assert make_records.make_records(make_records.parse_args([*arguments, "--format", "png"])) is None
    config = tiny_settings(directory / "data")
    config.clip.size = config.clip.resize = 40
    config.num_epochs = 3.0
    train.train(config, directory / "run")
    source = {split: pipeline.open_records(directory / "data", [split]) for split in ("train", "val", "test")}
    videos = {split: [Path(records[i].media_id) for i in range(8)] for split, records in source.items()}
    return TinyRun(directory / "run", directory / "data", videos)


@pytest.fixture(scope="session")
def tiny_trained(tiny_run) -> restore.Trained:
    """The last checkpoint of `tiny_run`."""
    return restore.from_run(tiny_run.workdir)


@pytest.fixture(scope="session", params=["stablehlo", "onnx"])
def exported_run(request, tiny_trained, tmp_path_factory) -> Path:
    """The directory of an export of `tiny_run`, in one format and in another."""
    if request.param == "onnx":
        pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("exported") / request.param
    batches = export.record_clips(tiny_trained, 8)
    export.export(tiny_trained, request.param, out, batches, command="python -m vidjax.export ...")
    return out
