"""A video file -> its top classes, or its caption.

    python -m vidjax.predict VIDEO... (--workdir W | --weights NAME|FILE) [--top 5] [--json]
    python -m vidjax.predict VIDEO... --workdir W_RGB W_FLOW [--fusion logits --fusion_weights 1,1.5]
    python -m vidjax.predict --stream VIDEO|camera --workdir W
    python -m vidjax.predict VIDEO... --exported DIR

A video is read as the network's training videos were, cut into evenly spaced clips as an evaluation does, and the
probabilities of the clips are averaged. Of a video of any length only the frames of these clips are in memory. Several
runs, two streams say, are fused as `vidjax.evaluate` does. A stream goes through a causal network frame by frame, with
a line a second.
"""

import argparse
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging
from tqdm import tqdm

from vidjax import caption, compile_options, ensemble, exported, sharding, step, stream, trained
from vidjax.data import clips, flow_images, sampling, video

MOST_VIEWS = 10  # by default, of a long video


def read_views(
    path: str | Path, clip: dict, inputs: dict, num_views: int | None = None, *, flow: bool = False
) -> clips.Clip:
    """Cuts evenly spaced clips out of a video file.

    Args:
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`, `streams`, as of `clips.cut_views`.
        inputs: `fps` and `short_side` that the training videos were read with, 0 for as they are; `flow`, the method of
            the optical flow that was stored of them.
        num_views: how many clips; by default enough to cover the video, at most 10.
        flow: whether optical flow is computed of the clips, on the device.

    Returns:
        `video` uint8 (V, T, size, size, 3), `flow` uint8 (V, T, size, size, 2), or both, as the streams say.

    Raises:
        ValueError: where the file is missing, no video, or holds too few frames. A damaged tail is told on stderr.
    """
    fps, short_side = inputs.get("fps") or None, inputs.get("short_side", 0)
    length, warning = video.count_frames(path, fps=fps)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    if not length:
        raise ValueError(warning or f"{path} holds no frame.")
    streams = clip.get("streams", ("video",))
    sees_flow = "flow" in streams
    if sees_flow and "flow" not in inputs:
        raise ValueError("The records that it was trained on do not say by which method their flow was made.")
    if (sees_flow or flow) and length == 1:
        raise ValueError(f"{path} holds one frame: optical flow needs two at least.")
    length -= sees_flow
    span = sampling.span(clip["num_frames"], clip.get("frame_stride", 1))
    num_views = num_views or min(MOST_VIEWS, -(-length // span))
    which = {name: clip[name] for name in ("num_frames", "frame_stride", "sampling") if name in clip}
    wanted = set(sampling.eval_indices(length, num_views=num_views, **which).flat)
    cut = {name: value for name, value in clip.items() if name != "streams"}

    def cut_stream(stream: str) -> np.ndarray:
        if stream == "flow":
            frames = flows_of(path, wanted, inputs["flow"], fps=fps, short_side=short_side)
        else:
            frames = (frame for frame, _ in video.iterate_frames(path, fps=fps, short_side=short_side, only=wanted))
        settings = {**cut, "num_views": num_views, "channels": clips.CHANNELS[stream]}
        return clips.cut_views(lambda index: next(frames), length, **settings)

    return {stream: cut_stream(stream) for stream in streams}


def views_of(run: trained.Trained, path: str | Path, num_views: int | None = None) -> clips.Clip:
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


def check_names_videos(run: trained.Trained | exported.Exported):
    """Raises a ValueError for a network that does not name the class of a whole video."""
    if run.config and (run.config.get("target") == "frame" or run.clip.get("sampling") == "chunks"):
        raise ValueError(f"{run.name} classifies frames, or chunk after chunk: evaluate it with vidjax.evaluate.")
    if "target" in run.inputs:
        raise ValueError(f"{run.name} forecasts a series: evaluate it with vidjax.evaluate.")
    if "prefix" in run.inputs:
        source = f"layer {run.inputs['layer']!r} of {run.inputs['source']}"
        raise ValueError(f"{run.name} was trained on features ({source}), not on videos: evaluate it on such records.")
    if not run.labels:
        raise ValueError(f"{run.name} has no classes to name: it is for vidjax.features, and for init_from.")


def make_logits_fn(run: trained.Trained) -> Callable[[clips.Clip], np.ndarray]:
    """Returns the compiled function from clips, as of `read_views`, to logits, float32 (V, K).

    Raises:
        ValueError: as of `check_names_videos`.
    """
    check_names_videos(run)
    forward = jax.jit(
        functools.partial(step.eval_step, model=run.model, spec=run.preprocess),
        out_shardings=sharding.replicated(run.mesh),
        compiler_options=compile_options.of_inference(run.model),
    )
    per_call = run.mesh.size  # one clip a device: one shape to compile, whatever the number of views

    def logits_of(views: clips.Clip) -> np.ndarray:
        outputs, count = [], len(next(iter(views.values())))
        for i in tqdm(range(0, count, per_call), "views", leave=False, disable=None):
            group = np.minimum(np.arange(i, i + per_call), count - 1)  # filled up with the last one
            batch = {name: x[group] for name, x in views.items()}
            batch = jax.device_put(batch, sharding.batch_sharding(run.mesh))
            outputs.append(np.asarray(forward(run.params, run.model_state, batch)))
        return np.concatenate(outputs)[:count]

    return logits_of


def make_exported_logits_fn(network: exported.Exported) -> Callable[[clips.Clip], np.ndarray]:
    """`make_logits_fn` of an exported network, clip by clip."""
    check_names_videos(network)
    if network.state:
        raise ValueError(f"{network.name} holds the step over a stream: export the network on whole clips to predict.")

    def logits_of(views: clips.Clip) -> np.ndarray:
        count = len(next(iter(views.values())))
        numbers = tqdm(range(count), "views", leave=False, disable=None)
        return np.concatenate([network({name: x[i : i + 1] for name, x in views.items()})["logits"] for i in numbers])

    return logits_of


def predict(run: trained.Trained, logits_fn: Callable, path: str | Path, num_views: int | None = None) -> np.ndarray:
    """The probability of each class, float32 (K,): the mean over the video's clips. Errors as of `read_views`."""
    return predict_fused([run], [logits_fn], path, num_views)


def predict_fused(
    runs: Sequence[trained.Trained],
    logits_fns: Sequence[Callable],
    path: str | Path,
    num_views: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    fusion: str = "scores",
) -> np.ndarray:
    """The probability of each class by several networks, each on clips of its own: float32 (K,).

    Args:
        weights, fusion: as of `ensemble.fuse`; equal by default.

    Raises:
        ValueError: as of `read_views`.
    """
    logits = [of(views_of(run, path, num_views))[None] for run, of in zip(runs, logits_fns, strict=True)]  # (1, V, K)
    return ensemble.fuse(logits, weights or [1.0] * len(runs), fusion, multi_label=runs[0].multi_label)[0]


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
    network.add_argument("--workdir", type=Path, nargs="+", help="of a trained run, or of several, which are fused")
    network.add_argument("--weights", metavar="NAME|FILE", help="see `python -m vidjax.weights`, or a file of such")
    network.add_argument("--exported", type=Path, metavar="DIR", help="that vidjax.export wrote")
    parser.add_argument("--step", type=int, help="of the run's checkpoint; the last one by default")
    parser.add_argument("--top", type=int, default=5, help="how many classes (default 5)")
    parser.add_argument("--num_views", type=int, help="clips a video; by default enough to cover it, at most 10")
    parser.add_argument("--beams", type=int, default=4, help="of the search, where the run writes captions (default 4)")
    ensemble.add_arguments(parser, ensemble.AVERAGES)
    parser.add_argument("--json", action="store_true", help="one JSON object a line and a video")
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads

    if bool(args.stream) == bool(args.videos):
        parser.error("Name videos, or one --stream.")
    try:
        places = args.workdir or [args.weights]
        if len(places) == 1 and (args.fusion or args.fusion_weights):
            raise ValueError("--fusion and --fusion_weights are for several runs: --workdir W1 W2 ...")
        if len(places) > 1 and (args.stream or args.step is not None):
            raise ValueError("--stream and --step are for one --workdir.")
        weights = ensemble.weights_of(args, len(places))
        if args.exported:
            if args.stream or args.step is not None:
                raise ValueError("--stream and --step are for --workdir.")
            runs = [exported.load(args.exported)]
        else:
            runs = [trained.from_run(p, args.step) if args.workdir else trained.from_weights(p) for p in places]
        run = runs[0]
        if args.stream:
            for seconds, probabilities in stream.run_on(run, args.stream):
                show(f"{seconds:.1f} s", {"seconds": seconds}, top_classes(run, probabilities, args.top), args.json)
            return
        ensemble.check_same("labels", [r.name for r in runs], [r.labels for r in runs])
        ensemble.check_same("loss", [r.name for r in runs], ["sigmoid" if r.multi_label else "softmax" for r in runs])
        writes = "caption_length" in run.inputs
        if writes and len(runs) > 1:
            raise ValueError("Captions of several runs cannot be fused.")
        if args.exported:
            functions = [make_exported_logits_fn(run)]
        else:
            functions = [caption.make_writer(run, args.beams)] if writes else [make_logits_fn(r) for r in runs]
    except KeyboardInterrupt:
        return
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for path in args.videos:
        try:
            if writes:
                text, probability = functions[0](views_of(run, path, num_views=1))
                line = {"video": path, "caption": text, "probability": probability}
                print(json.dumps(line) if args.json else f"{path}\n  {100 * probability:6.2f} %  {text}", flush=True)
                continue
            fused = {"weights": weights, "fusion": args.fusion or "scores"}
            probabilities = predict_fused(runs, functions, path, args.num_views, **fused)
        except ValueError as error:
            print(f"vidjax.predict: {error}", file=sys.stderr)
            failed += 1
            continue
        show(path, {"video": path}, top_classes(run, probabilities, args.top), args.json)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
