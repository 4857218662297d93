"""How fast each part is beside what a user would pick instead, as ratios in one run.

    python -m vidjax.bench pipeline [--out bench.json]
    python -m vidjax.bench recurrent [--out bench.json]
    python -m vidjax.bench stream [--frames 100000] [--out bench.json]

What is compared alternates, so that whatever else the machine does falls on both; the figures are medians with the
spread. A stream has nothing to compare with: its end is measured against its start.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import psutil
from flax import linen as nn
from tqdm import tqdm

from vidjax import step, stream
from vidjax.data import pipeline, records
from vidjax.models import make_model
from vidjax.models.recurrent import Recurrent

# ------------------------------------------------------------------------------------------------------- pipeline
NUM_FRAMES, CROP, HEIGHT, WIDTH, VIDEO_FRAMES = 16, 224, 256, 340, 64
BATCH_SIZE = 8


def write_videos(directory: Path, num_videos: int = 48):
    """Records of 340x256 JPEG frames of about 25 kB: moving texture of several scales."""
    rng = np.random.default_rng(0)

    def video(index: int) -> bytes:
        scales = [rng.normal(size=(HEIGHT >> s, (WIDTH + 2 * VIDEO_FRAMES) >> s, 3)) * 2.0**s for s in range(6)]
        layers = [cv2.resize(layer, (WIDTH + 2 * VIDEO_FRAMES, HEIGHT)) for layer in scales]
        texture = np.clip(128 + 3 * sum(layers), 0, 255).astype(np.uint8)
        frames = [texture[:, 2 * i : 2 * i + WIDTH] for i in range(VIDEO_FRAMES)]
        images = [cv2.imencode(".jpeg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for frame in frames]
        return records.encode(records.Example(images=images, labels=[index % 10], fps=25, height=HEIGHT, width=WIDTH))

    for shard in range(4):
        path = records.shard_path(directory, "train", shard, 4)
        records.write_shard(path, map(video, range(num_videos // 4)))
    info = records.DatasetInfo([str(i) for i in range(10)], "unchanged")
    records.write_info(directory, info, complete=True)


def our_batches(directory: Path, num_batches: int, num_threads: int = 0) -> Iterator:
    source = pipeline.open_records(directory, ["train"])
    clip = {"num_frames": NUM_FRAMES, "size": CROP, "crop": "random"}
    return pipeline.train_batches(source, clip, batch_size=BATCH_SIZE, num_steps=num_batches, num_threads=num_threads)


def tf_data_batches(directory: Path, num_batches: int) -> Iterator:
    """The same clips by a plain tf.data pipeline: parse, draw a clip, decode its frames, crop, batch, prefetch."""
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
    """The rate after the first `skip` batches, in which threads start and graphs are traced."""
    for _ in range(skip):
        next(batches)
    started, count = time.perf_counter(), 0
    for _ in batches:
        count += BATCH_SIZE
    return count / (time.perf_counter() - started)


def bench_pipeline(rounds: int, clips: int) -> dict:
    """Clips of 16 frames of 224x224 from 340x256 JPEG, against tf.data where TensorFlow is installed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_videos(directory)
        num_batches = clips // BATCH_SIZE + 4
        contestants: dict[str, Callable] = {"vidjax": lambda: our_batches(directory, num_batches)}
        try:
            import tensorflow  # noqa: F401

            contestants["tf.data"] = lambda: tf_data_batches(directory, num_batches)
        except ImportError:
            print("TensorFlow is not installed, so there is nothing to compare with: pip install -e '.[tf]'")
        rates = {name: [] for name in contestants}
        for _ in tqdm(range(rounds), "rounds"):
            for name, batches in contestants.items():
                rates[name].append(clips_per_second(batches()))
    result = {name: summary(values) for name, values in rates.items()}
    if "tf.data" in rates:
        result["ratio"] = summary([a / b for a, b in zip(rates["vidjax"], rates["tf.data"], strict=True)])
    return result


def bench_memory(clips: int) -> dict:
    """Resident memory (MB) of this process while it reads `clips` clips, at twenty moments."""
    process, resident = psutil.Process(), []
    with tempfile.TemporaryDirectory() as name:
        write_videos(Path(name))
        num_batches = clips // BATCH_SIZE
        for i, _ in enumerate(tqdm(our_batches(Path(name), num_batches), "memory", num_batches)):
            if i % (num_batches // 20) == num_batches // 20 - 1:
                resident.append(round(process.memory_info().rss / 1e6))
    return {"clips": clips, "resident_mb": resident}


# ------------------------------------------------------------------------------------------------------ recurrent
SEQUENCES, STEPS, WIDTH_IN, WIDTH_OUT = 32, 64, 1024, 512


def flax_lstms() -> dict[str, tuple[Callable, Callable]]:
    """name -> (forward, training step), both compiled and run once: our LSTM and flax's of the same sizes."""
    x = jax.random.normal(jax.random.key(0), (SEQUENCES, STEPS, WIDTH_IN))
    models = {"vidjax": Recurrent(WIDTH_OUT), "nn.RNN": nn.RNN(nn.OptimizedLSTMCell(WIDTH_OUT))}

    def outputs(model, variables, x):
        y = model.apply(variables, x)
        return y[0] if isinstance(model, Recurrent) else y  # (B, T, H)

    def functions(model):
        variables = jax.jit(model.init)(jax.random.key(1), x)
        forward = jax.jit(lambda variables: outputs(model, variables, x))
        gradient = jax.grad(lambda variables: jnp.square(outputs(model, variables, x)).mean())
        train = jax.jit(lambda variables: jax.tree.map(lambda p, g: p - 0.1 * g, variables, gradient(variables)))
        return [lambda f=f: jax.block_until_ready(f(variables)) for f in (forward, train)]

    return {name: functions(model) for name, model in models.items()}


def torch_lstm() -> tuple[Callable, Callable]:
    """(forward, training step) of PyTorch's LSTM of the same sizes, on its default device."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.LSTM(WIDTH_IN, WIDTH_OUT, batch_first=True).to(device)
    x = torch.randn(SEQUENCES, STEPS, WIDTH_IN, device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def forward():
        with torch.no_grad():
            return model(x)[0].sum().item()  # waits for the device

    def train():
        optimizer.zero_grad()
        loss = model(x)[0].square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return forward, train


def bench_recurrent(rounds: int) -> dict:
    """Milliseconds of an LSTM over 64 steps of 32 sequences, 1024 -> 512, float32, and how many times as fast we are.

    A ratio is that of the medians, with the smallest and the largest of the rounds.
    """
    contestants = flax_lstms()
    try:
        contestants["torch"] = torch_lstm()
    except ImportError:
        print("PyTorch is not installed, so only flax is compared with.")
    times = {name: ([], []) for name in contestants}
    for i in tqdm(range(rounds + 1), "rounds"):
        for name, functions in contestants.items():
            for function, measured in zip(functions, times[name], strict=True):
                started = time.perf_counter()
                function()
                if i:  # the first round compiles
                    measured.append(1e3 * (time.perf_counter() - started))
    result = {}
    for k, what in enumerate(("forward", "training step")):
        ours = times["vidjax"][k]
        for name in contestants:
            theirs = times[name][k]
            result[f"{what}, {name}"] = summary(theirs)
            if name != "vidjax":
                ratios = summary([b / a for a, b in zip(ours, theirs, strict=True)])
                result[f"{what}, {name} / vidjax"] = ratios | {"median": float(np.median(theirs) / np.median(ours))}
    return result


# --------------------------------------------------------------------------------------------------------- stream
SMALL = {"backbone": "resnet18", "backbone_arguments": {"width": 0.125}}
STREAMED = {
    "lstm": ("frame_rnn", SMALL),
    "causal tcn": ("tcn", SMALL),
    "r2plus1d_18": ("r2plus1d_18", {"width": 0.125, "causal": True}),
}


def bench_stream(num_frames: int, size: int = 48) -> dict:
    """Milliseconds a frame and live memory (kB, all arrays of the process) along a stream of frames of 48x48.

    Of each network the first and the last tenth of the stream, in steps of `stream.frames_a_step` frames; the first
    steps, in which programs are compiled, are not counted.
    """
    result, spec = {}, {"mean": [127.5] * 3, "std": [127.5] * 3}
    for name, (model_name, arguments) in STREAMED.items():
        model = make_model(model_name, 8, **arguments)
        piece = stream.frames_a_step(model)
        frames = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, piece, size, size, 3), np.uint8))
        params, model_state = step.init_variables(0, {"video": frames}, model=model, spec=spec)
        state, advance = stream.init_stream(params, model_state, model=model, spec=spec)
        for _ in range(3):
            state, outputs = advance(state, frames)
        times, memory, num_steps = [], [], max(10, num_frames // piece)
        for _ in tqdm(range(num_steps), name, unit="step"):
            started = time.perf_counter()
            state, outputs = advance(state, frames)
            outputs.block_until_ready()
            times.append(1e3 * (time.perf_counter() - started) / piece)
            if len(times) % max(1, num_steps // 100) == 0:
                memory.append(sum(x.nbytes for x in jax.live_arrays()) / 1e3)
        tenth = max(1, len(times) // 10)
        result[f"{name}, first tenth"] = summary(times[:tenth])
        result[f"{name}, last tenth"] = summary(times[-tenth:])
        result[f"{name}, live kB"] = summary(memory)
    return result


def summary(values: list[float]) -> dict:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values), "runs": len(values)}


def show(result: dict, unit: str):
    """Prints the summaries of a section, those of ratios as times."""
    width = max(map(len, result))
    for name, values in result.items():
        kind = "x" if "ratio" in name or "/" in name else "kB" if name.endswith("kB") else unit
        spread = f"[{values['min']:.2f}, {values['max']:.2f}] in {values['runs']} runs"
        print(f"{name:{width}} {values['median']:8.2f} {kind:8} {spread}")


# ------------------------------------------------------------------------------------------------------------ main


def main():
    parser = argparse.ArgumentParser(description="Ratios in one run. Stop other work first: all cores are measured.")
    sections = parser.add_subparsers(dest="section", required=True)
    section = sections.add_parser("pipeline", help="records -> batches, against a plain tf.data pipeline")
    section.add_argument("--rounds", type=int, default=5, help="alternations")
    section.add_argument("--clips", type=int, default=800, help="a round")
    section.add_argument("--memory_clips", type=int, default=0, help="also watch the memory over so many clips")
    section.add_argument("--out", type=Path, help="a JSON file to write")
    section = sections.add_parser("recurrent", help="a scanned LSTM, against flax.linen.RNN and PyTorch's")
    section.add_argument("--rounds", type=int, default=20, help="alternations")
    section.add_argument("--out", type=Path, help="a JSON file to write")
    section = sections.add_parser("stream", help="time and memory along a stream of frames")
    section.add_argument("--frames", type=int, default=10000, help="of the stream")
    section.add_argument("--out", type=Path, help="a JSON file to write")
    args = parser.parse_args()

    result = {"machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}}
    if args.section == "pipeline":
        result["pipeline"] = bench_pipeline(args.rounds, args.clips)
        show(result["pipeline"], "clips/s")
        if args.memory_clips:
            result["memory"] = bench_memory(args.memory_clips)
            print("resident MB:", *result["memory"]["resident_mb"])
    elif args.section == "stream":
        result["machine"]["backend"] = jax.default_backend()
        result["stream"] = bench_stream(args.frames)
        show(result["stream"], "ms")
    else:
        result["machine"]["backend"] = jax.default_backend()
        result["recurrent"] = bench_recurrent(args.rounds)
        show(result["recurrent"], "ms")
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
