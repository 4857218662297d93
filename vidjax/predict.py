"""A video file -> its top classes, or its caption.

    python -m vidjax.predict VIDEO... (--workdir W | --weights NAME|FILE) [--top 5] [--json]
    python -m vidjax.predict --stream VIDEO|camera --workdir W

A video is read as the network's training videos were, cut into evenly spaced clips as an evaluation does, and the
probabilities of the clips are averaged. Of a video of any length only the frames of these clips are in memory. A stream
goes through a causal network frame by frame, with a line a second.
"""

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging
from tqdm import tqdm

from vidjax import caption, sharding, step, stream, trained
from vidjax.data import clips, flow_images, sampling, video

MOST_VIEWS = 10  # by default, of a long video


def read_views(
    path: str | Path, clip: dict, inputs: dict, num_views: int | None = None, *, flow: bool = False
) -> np.ndarray:
    """Cuts evenly spaced clips out of a video file.

    Args:
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`, `streams`, as of `clips.cut_views`.
        inputs: `fps` and `short_side` that the training videos were read with, 0 for as they are; `flow`, the method of
            the optical flow that was stored of them.
        num_views: how many clips; by default enough to cover the video, at most 10.
        flow: whether optical flow is computed of the clips, on the device.

    Returns:
        uint8 (V, T, size, size, 3), or (..., 2) where the network sees flow that was stored.

    Raises:
        ValueError: where the file is missing, no video, or holds too few frames. A damaged tail is told on stderr.
    """
    fps, short_side = inputs.get("fps") or None, inputs.get("short_side", 0)
    length, warning = video.count_frames(path, fps=fps)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    if not length:
        raise ValueError(warning or f"{path} holds no frame.")
    sees_flow = "flow" in clip.get("streams", ())
    if sees_flow and "flow" not in inputs:
        raise ValueError("The records that it was trained on do not say by which method their flow was made.")
    if (sees_flow or flow) and length == 1:
        raise ValueError(f"{path} holds one frame: optical flow needs two at least.")
    length -= sees_flow
    span = sampling.span(clip["num_frames"], clip.get("frame_stride", 1))
    num_views = num_views or min(MOST_VIEWS, -(-length // span))
    frames = {name: clip[name] for name in ("num_frames", "frame_stride", "sampling") if name in clip}
    wanted = set(sampling.eval_indices(length, num_views=num_views, **frames).flat)
    if sees_flow:
        frames = flows_of(path, wanted, inputs["flow"], fps=fps, short_side=short_side)
    else:
        frames = (frame for frame, _ in video.iterate_frames(path, fps=fps, short_side=short_side, only=wanted))
    cut = {name: value for name, value in clip.items() if name != "streams"}
    channels = clips.CHANNELS["flow" if sees_flow else "video"]
    return clips.cut_views(lambda index: next(frames), length, num_views=num_views, channels=channels, **cut)


def views_of(run: trained.Trained, path: str | Path, num_views: int | None = None) -> np.ndarray:
    """`read_views` as a network wants them."""
    return read_views(path, run.clip, run.inputs, num_views, flow=bool(run.preprocess.get("flow")))


def flows_of(path: str | Path, wanted: set[int], method: str, *, fps: float | None, short_side: int):
    """Yields the flow from each wanted frame of a video to the next, as records keep it: uint8 (H, W, 2)."""
    needed = sorted(wanted | {index + 1 for index in wanted})
    before = None
    for index, (frame, _) in zip(needed, video.iterate_frames(path, fps=fps, only=set(needed)), strict=False):
        grey = flow_images.to_grey(frame, short_side)
        if index - 1 in wanted:
            yield flow_images.between(before, grey, method)
        before = grey


def make_logits_fn(run: trained.Trained) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the compiled function from clips, uint8 (V, T, H, W, C), to logits, float32 (V, K).

    Raises:
        ValueError: where the network wants features and not videos.
    """
    if run.config and (run.config.get("target") == "frame" or run.clip.get("sampling") == "chunks"):
        raise ValueError(f"{run.name} classifies frames, or chunk after chunk: evaluate it with vidjax.evaluate.")
    if "target" in run.inputs:
        raise ValueError(f"{run.name} forecasts a series: evaluate it with vidjax.evaluate.")
    if "prefix" in run.inputs:
        source = f"layer {run.inputs['layer']!r} of {run.inputs['source']}"
        raise ValueError(f"{run.name} was trained on features ({source}), not on videos: evaluate it on such records.")
    if not run.labels:
        raise ValueError(f"{run.name} has no classes to name: it is for vidjax.features, and for init_from.")
    forward = jax.jit(
        functools.partial(step.eval_step, model=run.model, spec=run.preprocess),
        out_shardings=sharding.replicated(run.mesh),
    )
    per_call = run.mesh.size  # one clip a device: one shape to compile, whatever the number of views

    def logits_of(views: np.ndarray) -> np.ndarray:
        outputs = []
        for i in tqdm(range(0, len(views), per_call), "views", leave=False, disable=None):
            group = views[np.minimum(np.arange(i, i + per_call), len(views) - 1)]  # filled up with the last one
            batch = {"video": jax.device_put(group, sharding.batch_sharding(run.mesh))}
            outputs.append(np.asarray(forward(run.params, run.model_state, batch)))
        return np.concatenate(outputs)[: len(views)]

    return logits_of


def predict(run: trained.Trained, logits_fn: Callable, path: str | Path, num_views: int | None = None) -> np.ndarray:
    """The probability of each class, float32 (K,): the mean over the video's clips. Errors as of `read_views`."""
    return run.probabilities(logits_fn(views_of(run, path, num_views))).mean(axis=0)


def top_classes(run: trained.Trained, probabilities: np.ndarray, count: int) -> list[dict]:
    """The names and probabilities of the most probable classes, from (K,)."""
    best = probabilities.argsort()[::-1][:count]
    return [{"label": run.labels[i], "probability": float(probabilities[i])} for i in best]


def show(title: str, of_line: dict, top: list[dict], as_json: bool):
    """Prints a title and the classes, of a stream all in one line; or one JSON object."""
    entries = [f"  {100 * entry['probability']:6.2f} %  {entry['label']}" for entry in top]
    if as_json:
        print(json.dumps({**of_line, "top": top}), flush=True)
    else:
        print(title, *entries, sep="" if "seconds" in of_line else "\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Names the most probable classes of videos.")
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="any file that FFmpeg reads, GIF included")
    parser.add_argument("--stream", metavar="VIDEO|camera", help="a line a second; camera:1 is the second camera")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, help="of a trained run")
    network.add_argument("--weights", metavar="NAME|FILE", help="see `python -m vidjax.weights`, or a file of such")
    parser.add_argument("--step", type=int, help="of the run's checkpoint; the last one by default")
    parser.add_argument("--top", type=int, default=5, help="how many classes (default 5)")
    parser.add_argument("--num_views", type=int, help="clips a video; by default enough to cover it, at most 10")
    parser.add_argument("--beams", type=int, default=4, help="of the search, where the run writes captions (default 4)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line and a video")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads

    if bool(args.stream) == bool(args.videos):
        parser.error("Name videos, or one --stream.")
    try:
        run = trained.from_run(args.workdir, args.step) if args.workdir else trained.from_weights(args.weights)
        if args.stream:
            for seconds, probabilities in stream.run_on(run, args.stream):
                show(f"{seconds:.1f} s", {"seconds": seconds}, top_classes(run, probabilities, args.top), args.json)
            return
        writes = "caption_length" in run.inputs
        function = caption.make_writer(run, args.beams) if writes else make_logits_fn(run)
    except KeyboardInterrupt:
        return
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for path in args.videos:
        try:
            if writes:
                text, probability = function(views_of(run, path, num_views=1)[0])
                line = {"video": path, "caption": text, "probability": probability}
                print(json.dumps(line) if args.json else f"{path}\n  {100 * probability:6.2f} %  {text}", flush=True)
                continue
            probabilities = predict(run, function, path, args.num_views)
        except ValueError as error:
            print(f"vidjax.predict: {error}", file=sys.stderr)
            failed += 1
            continue
        show(path, {"video": path}, top_classes(run, probabilities, args.top), args.json)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
