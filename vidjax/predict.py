"""Predicts the classes of video files and streams, or writes captions.

    python -m vidjax.predict VIDEO|DIR... (--workdir W | --weights NAME|FILE) [--top 5] [--json]
    python -m vidjax.predict VIDEO|DIR... --workdir W --windows SECONDS [--hop SECONDS]
    python -m vidjax.predict VIDEO|DIR... --workdir W_RGB W_FLOW [--fusion logits --fusion_weights 1,1.5]
    python -m vidjax.predict --stream VIDEO|camera --workdir W
    python -m vidjax.predict VIDEO|DIR... --exported DIR
    python -m vidjax.predict VIDEO|DIR... (--workdir W | --weights NAME | --exported DIR) --gallery FILE [--reject]
    python -m vidjax.predict VIDEO|DIR... --weights clip_vit_b32 --classes "a person shaking hands" "a person kicking"

A video is read like the network's training videos and cut into evenly spaced clips, like in an evaluation; the result
is the mean probability over clips. Memory holds only the frames of these clips, whatever the length of the video. With
--windows each window of a video gets a line, see `vidjax.inference.windows`. Several runs, such as two streams, are
fused like in `vidjax.evaluate`. A causal network processes a stream frame by frame and prints one line per second.
With --gallery the classes are those of a gallery, see `vidjax.gallery`, and have distances instead of probabilities.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging

from vidjax.data import frame_folder, video_paths
from vidjax.export import exported
from vidjax.inference import caption, embedding, ensemble, gallery, restore, stream, windows, zero_shot
from vidjax.inference.clip_logits import make_logits_fn
from vidjax.inference.views import views_of

BEAMS = 4  # of a caption


def predict(run: restore.Trained, logits_fn: Callable, path: str | Path, num_views: int | None = None) -> np.ndarray:
    """Returns the probability of each class, float32 (K,): the mean over the video's clips. Errors: see `views_of`."""
    return predict_fused([run], [logits_fn], path, num_views)


def predict_fused(
    runs: Sequence[restore.Trained],
    logits_fns: Sequence[Callable],
    path: str | Path,
    num_views: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    fusion: str = "scores",
    folder_fps: float = frame_folder.FPS,
) -> np.ndarray:
    """Returns the probability of each class by several networks, each on its own clips: float32 (K,).

    Args:
        num_views, folder_fps: see `views.read_views`.
        weights, fusion: see `ensemble.fuse`; equal weights by default.

    Raises:
        ValueError: see `views.read_views`.
    """
    views = [views_of(run, path, num_views, folder_fps=folder_fps) for run in runs]
    logits = [logits_fn(x)[None] for logits_fn, x in zip(logits_fns, views, strict=True)]  # (1, V, K) each
    return ensemble.fuse(logits, weights or [1.0] * len(runs), fusion, multi_label=runs[0].multi_label)[0]


def top_classes(run: restore.Trained, probabilities: np.ndarray, count: int) -> list[dict]:
    """Returns the names and probabilities of the most probable classes, from probabilities (K,)."""
    best = probabilities.argsort()[::-1][:count]
    return [{"label": run.labels[i], "probability": float(probabilities[i])} for i in best]


# ------------------------------------------------------------------------------------------------ the command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidjax predict", description="Predicts the most probable classes of videos.")
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO|DIR", help="a file that FFmpeg reads, GIF included; a folder of numbered "
        "images, which is one video; or a directory: all videos in it")  # fmt: skip
    add("--stream", metavar="VIDEO|camera", help="print one line per second; camera:1 is the second camera")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, nargs="+", help="directory of a run, or of several runs to fuse")
    network.add_argument("--weights", metavar="NAME|FILE", help="a name listed by `vidjax weights`, or a weights file")
    network.add_argument("--exported", type=Path, metavar="DIR", help="directory written by `vidjax export`")
    add("--classes", nargs="+", metavar="TEXT", help="classes in words, for --weights clip_vit_b32 and others that "
        "compare videos with texts")  # fmt: skip
    add("--templates", type=Path, metavar="FILE", help="texts around a class, one per line with {} in its place; their "
        f"embeddings are averaged (default: {zero_shot.TEMPLATE!r})")  # fmt: skip
    add("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json or sentencepiece.model (default: published)")
    add("--step", type=int, help="step of the checkpoint (default: the last)")
    add("--windows", type=float, metavar="SECONDS", help="print a line per window of this length, with its start and "
        "end. The last window ends with the video, and is left out if it is shorter than half a window, unless it is "
        "the only one")  # fmt: skip
    add("--hop", type=float, metavar="SECONDS", help="step from window to window (default: the length of a window)")
    add("--top", type=int, default=5, help="number of classes to print (default: 5)")
    add("--num_views", type=int, help="clips per video or window (default: enough to cover it, at most 10)")
    add("--folder_fps", type=float, help=f"frame rate of image folders (default: {frame_folder.FPS:g})")
    add("--gallery", type=Path, metavar="FILE", help="classes given by examples, see `vidjax gallery`")
    add("--reject", action="store_true", help="call a video unknown if it is far from all classes of the gallery")
    add("--beams", type=int, help=f"beam width for captions (default: {BEAMS})")
    ensemble.add_arguments(parser, ensemble.AVERAGES)
    add("--json", action="store_true", help="print a JSON object per video, window, or second of a stream")
    args = parser.parse_args()
    if args.workdir and not (args.videos or args.stream):  # --workdir RUN VIDEO: argparse reads both as runs
        runs = list(itertools.takewhile(lambda place: (place / "config.json").exists(), args.workdir))
        args.workdir, args.videos = runs or args.workdir, [str(place) for place in args.workdir[len(runs) :] if runs]
    args.networks = args.workdir or [args.weights or args.exported]
    try:
        _check(args)
        args.fusion_weights = ensemble.weights_of(args, len(args.networks))
    except ValueError as error:
        parser.error(str(error))
    args.hop = args.hop or args.windows
    args.folder_fps = args.folder_fps or frame_folder.FPS
    return args


def _check(args: argparse.Namespace):
    if args.classes and not args.weights:
        raise ValueError("--classes needs --weights of a network that compares videos with texts: clip_vit_b32.")
    if (args.templates or args.tokenizer) and not args.classes:
        raise ValueError("--templates and --tokenizer go with --classes TEXT ...")
    if bool(args.stream) == bool(args.videos):
        raise ValueError("Give either videos or one --stream.")
    if len(args.networks) == 1 and (args.fusion or args.fusion_weights):
        raise ValueError("--fusion and --fusion_weights need several runs: --workdir W1 W2 ...")
    if len(args.networks) > 1 and (args.stream or args.step is not None):
        raise ValueError("--stream and --step are for one --workdir.")
    if args.exported and args.stream:
        raise ValueError("--stream is for --workdir, not --exported.")
    if args.step is not None and not args.workdir:
        raise ValueError("--step is for --workdir, whose checkpoints have steps.")
    if args.gallery and len(args.networks) > 1:
        raise ValueError("--gallery is for one network, the one that made the gallery.")
    if args.gallery and args.classes:
        raise ValueError("--gallery and --classes both name the classes: give one of them.")
    if args.reject and not args.gallery:
        raise ValueError("--reject needs a --gallery, whose examples tell what is far.")
    if args.windows is None and args.hop is not None:
        raise ValueError("--hop needs windows: give their length with --windows SECONDS.")
    if args.windows is not None:
        if args.stream:
            raise ValueError("--windows is for files: give videos instead of --stream.")
        windows.check(args.windows, args.windows if args.hop is None else args.hop)
    for name in ("num_views", "folder_fps", "beams"):
        if args.stream and getattr(args, name) is not None:
            raise ValueError(f"--{name} is for files: a stream is one clip of frames from a video or a camera.")
    for name in ("top", "num_views", "folder_fps", "beams"):
        if (value := getattr(args, name)) is not None and not 0 < value < float("inf"):
            raise ValueError(f"--{name} {value} must be more than 0.")


def load(args: argparse.Namespace) -> tuple[list, list[Callable]]:
    """Loads the networks that the arguments name, and makes a function of clips for each.

    The function returns logits, or with a gallery or captions the result of the video for `show`.

    Raises:
        ValueError: if a network is missing, does not classify videos, or does not fit the others or the arguments.
    """
    if args.exported:
        runs = [exported.load(args.exported)]
    else:
        runs = [restore.from_run(x, args.step) if args.workdir else restore.from_weights(x) for x in args.networks]
    if args.classes:
        templates = zero_shot.read_templates(args.templates) if args.templates else (zero_shot.TEMPLATE,)
        runs = [zero_shot.with_classes(runs[0], args.classes, templates, args.tokenizer)]
    if args.beams is not None and "caption_length" not in runs[0].inputs:
        raise ValueError(f"--beams is for captions, which {runs[0].name} does not write.")
    if args.num_views is not None and "caption_length" in runs[0].inputs:
        raise ValueError(f"--num_views is for classes; {runs[0].name} writes the caption of one clip.")
    ensemble.check_same("labels", [r.name for r in runs], [r.labels for r in runs])
    ensemble.check_same("loss", [r.name for r in runs], ["sigmoid" if r.multi_label else "softmax" for r in runs])
    if args.windows:
        for run in runs:
            windows.check(args.windows, args.hop, run.inputs.get("fps"))
    if args.gallery:
        run = runs[0]
        embedder = exported.make_embedder(run) if args.exported else embedding.of_run(run, clips_a_device(args))
        found = gallery.for_network(gallery.read(args.gallery), embedder)
        classify = gallery.make_classifier(found, top=args.top, reject=args.reject)
        if args.stream:
            return [embedder.network], [classify]
        return [embedder.network], [lambda views: {"top": classify(embedder.embed(views))}]
    if args.stream:
        if not runs[0].labels:
            raise ValueError(f"{runs[0].name} has no classes: give a --gallery.")
        return runs, [lambda outputs: top_classes(runs[0], runs[0].probabilities(outputs), args.top)]
    if args.exported:
        return runs, [exported.make_logits_fn(runs[0])]
    if "caption_length" in runs[0].inputs:
        if len(runs) > 1:
            raise ValueError("Captions of several runs cannot be fused: give one --workdir.")
        write = caption.make_writer(runs[0], args.beams or BEAMS)
        return runs, [lambda views: dict(zip(("caption", "probability"), write(views), strict=True))]
    return runs, [make_logits_fn(run, clips_a_device(args)) for run in runs]


def clips_a_device(args: argparse.Namespace) -> int:
    """Returns the clips per device and call: accelerators compute those of several windows at a time."""
    return 8 if args.windows and jax.default_backend() != "cpu" else 1


def results_of(path: Path, runs: list, functions: list[Callable], args: argparse.Namespace) -> Iterator[dict]:
    """Yields the results of a video for `show`. Errors: see `views.read_views` and `windows.cut_windows`."""
    run, of_video = runs[0], {"video": str(path)}
    fused = {"weights": args.fusion_weights, "fusion": args.fusion or "scores", "folder_fps": args.folder_fps}
    is_caption, folder_fps = "caption_length" in run.inputs, args.folder_fps
    if is_caption or args.gallery:
        num_views = 1 if is_caption else args.num_views
        if args.windows:
            cut = windows.cut_windows(path, runs, args.windows, args.hop, num_views, folder_fps=folder_fps)
            for start, end, views in cut:
                yield {**of_video, "start": start, "end": end, **functions[0](views[0])}
        else:
            yield {**of_video, **functions[0](views_of(run, path, num_views, folder_fps=folder_fps))}
    elif args.windows:
        at_once = clips_a_device(args) * (1 if args.exported else run.mesh.size)
        where = (path, runs, functions, args.windows, args.hop, args.num_views)
        for start, end, probabilities in windows.predict_windows(*where, at_once=at_once, **fused):
            yield {**of_video, "start": start, "end": end, "top": top_classes(run, probabilities, args.top)}
    else:
        probabilities = predict_fused(runs, functions, path, args.num_views, **fused)
        yield {**of_video, "top": top_classes(run, probabilities, args.top)}


def show(result: dict, as_json: bool):
    """Prints a JSON object, or a title and the classes; one line for a window or a second of a stream."""
    if as_json:
        print(json.dumps(result), flush=True)
        return
    title, in_a_line = result.get("video", ""), "video" not in result or "start" in result
    if "seconds" in result:
        title = f"{result['seconds']:.1f} s"
    if "start" in result:
        title += f"  {result['start']:.2f} to {result['end']:.2f} s"
    top = result["top"] if "top" in result else [{"label": result["caption"], "probability": result["probability"]}]
    print(title, *map(entry_of, top), sep="" if in_a_line else "\n", flush=True)


def entry_of(entry: dict) -> str:
    """Returns a class with its probability, or with its distance from a gallery's prototype; "unknown" has none."""
    if "probability" in entry:
        return f"  {100 * entry['probability']:6.2f} %  {entry['label']}"
    return f"  {'' if entry['distance'] is None else format(entry['distance'], '.4f'):>8}  {entry['label']}"


def find_videos(paths: Sequence[str]) -> tuple[list[Path], int]:
    """Returns the videos that the paths name, and the number of paths without videos, which are reported on stderr."""
    videos, failed = [], 0
    for path in paths:
        try:
            found, others = video_paths.find_videos(path)
        except ValueError as error:
            print(f"vidjax.predict: {error}", file=sys.stderr)
            failed += 1
            continue
        videos += found
        if others:
            print(f"vidjax.predict: {video_paths.describe_others(path, others)}", file=sys.stderr)
    return videos, failed


def main():
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):  # notebooks replace the streams
            output.reconfigure(errors="backslashreplace")  # file names may not be UTF-8
    args = parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    videos, failed = find_videos(args.videos)
    try:
        runs, functions = load(args)
        if args.stream:
            for seconds, outputs in stream.run_on(runs[0], args.stream):
                show({"seconds": seconds, "top": functions[0](outputs)}, args.json)
            return
    except KeyboardInterrupt:
        return
    except ValueError as error:
        print(f"vidjax.predict: error: {error}", file=sys.stderr)
        sys.exit(2)
    for path in videos:
        try:
            for result in results_of(path, runs, functions, args):
                show(result, args.json)
        except ValueError as error:
            print(f"vidjax.predict: {error}", file=sys.stderr)
            failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
