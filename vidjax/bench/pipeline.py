"""The input pipeline, against tf.data: clips of 16 frames of 224x224 from 340x256 JPEG; or on given records."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import psutil
from tqdm import tqdm

from vidjax.bench import summary
from vidjax.data import dataset_info, pipeline, records, tfrecords

NUM_FRAMES, CROP, HEIGHT, WIDTH, VIDEO_FRAMES = 16, 224, 256, 340, 64
BATCH_SIZE = 8
STRIDES = (1, 2, 4)


def write_videos(directory: Path, num_videos: int = 48):
    """Writes records of 340x256 JPEG frames of about 25 kB: a moving texture with several scales."""
    rng = np.random.default_rng(0)

    def video(index: int) -> bytes:
        scales = [rng.normal(size=(HEIGHT >> s, (WIDTH + 2 * VIDEO_FRAMES) >> s, 3)) * 2.0**s for s in range(6)]
        layers = [cv2.resize(layer, (WIDTH + 2 * VIDEO_FRAMES, HEIGHT)) for layer in scales]
        texture = np.clip(128 + 3 * sum(layers), 0, 255).astype(np.uint8)
        frames = [texture[:, 2 * i : 2 * i + WIDTH] for i in range(VIDEO_FRAMES)]
        images = [cv2.imencode(".jpeg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for frame in frames]
        return records.encode(records.Example(images=images, labels=[index % 10], fps=25, height=HEIGHT, width=WIDTH))

    for shard in range(4):
        path = tfrecords.shard_path(directory, "train", shard, 4)
        tfrecords.write_shard(path, map(video, range(num_videos // 4)))
    info = dataset_info.DatasetInfo([str(i) for i in range(10)], "unchanged")
    dataset_info.write(directory, info, complete=True)


def our_batches(directory: Path, num_batches: int, num_threads: int = 0) -> Iterator:
    """Returns our training batches."""
    source = pipeline.open_records(directory, ["train"])
    clip = {"num_frames": NUM_FRAMES, "size": CROP, "crop": "random"}
    return pipeline.train_batches(source, clip, batch_size=BATCH_SIZE, num_steps=num_batches, num_threads=num_threads)


def tf_data_batches(directory: Path, num_batches: int) -> Iterator:
    """Returns the batches of a plain tf.data pipeline: parse, draw a clip, decode its frames, crop, batch, prefetch."""
    import tensorflow as tf

    def clip(record):
        context = {"clip/label/index": tf.io.FixedLenFeature([], tf.int64)}
        frames = {"image/encoded": tf.io.FixedLenSequenceFeature([], tf.string)}
        context, frames = tf.io.parse_single_sequence_example(record, context, frames)
        images = frames["image/encoded"]
        start = tf.random.uniform([], 0, tf.shape(images)[0] - NUM_FRAMES + 1, tf.int32)
        video = tf.map_fn(tf.io.decode_jpeg, images[start : start + NUM_FRAMES], fn_output_signature=tf.uint8)
        video.set_shape([NUM_FRAMES, None, None, 3])
        return tf.image.random_crop(video, [NUM_FRAMES, CROP, CROP, 3]), context["clip/label/index"]

    files = tf.data.Dataset.list_files(str(directory / "train-*.tfrecord"), seed=0)
    dataset = tf.data.TFRecordDataset(files, num_parallel_reads=4).repeat().shuffle(16, seed=0)
    dataset = dataset.map(clip, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE, drop_remainder=True)
    return dataset.take(num_batches).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def clips_per_second(batches: Iterator, skip: int = 4) -> float:
    """Returns the rate after the first `skip` batches, during which threads start and graphs are traced."""
    for _ in range(skip):
        next(batches)
    started, count = time.perf_counter(), 0
    for _ in batches:
        count += BATCH_SIZE
    return count / (time.perf_counter() - started)


def bench_pipeline(rounds: int, clips: int) -> dict:
    """Returns clips per second of our pipeline, and of tf.data if TensorFlow is installed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_videos(directory)
        num_batches = clips // BATCH_SIZE + 4
        contestants: dict[str, Callable] = {"vidjax": lambda: our_batches(directory, num_batches)}
        try:
            import tensorflow  # noqa: F401

            contestants["tf.data"] = lambda: tf_data_batches(directory, num_batches)
        except ImportError:
            print("TensorFlow is not installed; to compare with tf.data: pip install -e '.[tf]'")
        rates = {name: [] for name in contestants}
        for _ in tqdm(range(rounds), "rounds"):
            for name, batches in contestants.items():
                rates[name].append(clips_per_second(batches()))
    result = {name: summary(values) for name, values in rates.items()}
    if "tf.data" in rates:
        result["ratio"] = summary([a / b for a, b in zip(rates["vidjax"], rates["tf.data"], strict=True)])
    return result


def bench_records(directories: Sequence[Path], rounds: int, clips: int) -> dict:
    """Compares datasets of records, such as the same videos as JPEG and as MP4.

    Returns:
        Bytes per video; and clips per second of processor time, which other work on the machine hardly affects, of 16
        frames at each of `STRIDES`, 56x56 out of a short side of 64. Datasets have the names of their directories.
    """
    sources = {path.name: pipeline.open_records(path, tfrecords.find_splits(path)) for path in directories}
    rates = {(name, stride): [] for stride in STRIDES for name in sources}
    for seed in tqdm(range(rounds), "rounds"):
        for (name, stride), values in rates.items():
            clip = {"num_frames": NUM_FRAMES, "frame_stride": stride, "size": 56, "resize": 64}
            steps = {"batch_size": BATCH_SIZE, "num_steps": clips // BATCH_SIZE, "seed": seed, "num_threads": 1}
            started = time.process_time()
            for _ in pipeline.train_batches(sources[name], clip, **steps):
                pass
            values.append(clips // BATCH_SIZE * BATCH_SIZE / (time.process_time() - started))
    num_bytes = {
        f"{name} bytes per video": sum(shard.stat().st_size for shard in {x for x, _ in source.places}) // len(source)
        for name, source in sources.items()
    }
    return num_bytes | {f"{name} stride {stride}": summary(values) for (name, stride), values in rates.items()}


def bench_memory(clips: int) -> dict:
    """Records the resident memory (MB) of this process twenty times while it reads `clips` clips."""
    process, resident = psutil.Process(), []
    with tempfile.TemporaryDirectory() as name:
        write_videos(Path(name))
        num_batches = clips // BATCH_SIZE
        for i, _ in enumerate(tqdm(our_batches(Path(name), num_batches), "memory", num_batches)):
            if i % (num_batches // 20) == num_batches // 20 - 1:
                resident.append(round(process.memory_info().rss / 1e6))
    return {"clips read": clips, "resident MB": resident}
