"""Finds the activities in untrimmed videos: segments with start, end, label and score.

    vidjax detect film.mp4 --workdir runs/ms_tcn
    vidjax detect film.mp4 --workdir runs/ms_tcn --out film.srt --picture film.png
    vidjax detect *.mp4 --workdir runs/ms_tcn --out segments.csv --truth annotations.csv --picture all.png
    vidjax detect film.mp4 --workdir runs/ms_tcn --out labelled.mp4
    vidjax detect --stream camera --workdir runs/causal

The run labels every frame (config.target = "frame"). Segments are the runs of the most probable class, or with
--threshold the runs of frames whose probability of a class is at least that. The class "background" gives no segments.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging as absl_logging

from vidjax import features, output_paths
from vidjax.data import burn_in, segment_files, subtitles
from vidjax.data.segment_files import Segment
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.evaluation import timeline
from vidjax.inference import frame_scores, restore, segments_from_scores, stream

MANY = {".json": segment_files.write_json, ".csv": segment_files.write_csv}  # any number of videos
ONE = {".txt": segment_files.write_text, ".srt": subtitles.write_srt, ".vtt": subtitles.write_vtt}
VIDEO = ".mp4"


def segments_of(scores: np.ndarray, fps: float, labels: list[str], args: argparse.Namespace) -> list[Segment]:
    """Converts the probabilities of frames (T, K) to segments.

    Args:
        args: `smooth` and `min_seconds` in seconds, `threshold` in [0, 1] or None, `overlap` in [0, 1] or None.
    """
    background = labels.index(BACKGROUND) if BACKGROUND in labels else None
    scores = segments_from_scores.smooth_gaussian(scores, args.smooth * fps)
    if args.threshold is None:
        runs = segments_from_scores.argmax_runs(scores, background)
    else:
        runs = segments_from_scores.threshold_runs(scores, args.threshold, background)
    return segments_from_scores.to_segments(runs, fps, labels=labels, min_seconds=args.min_seconds)


def streamed(run: restore.Trained, source: str, min_seconds: float) -> Iterator[Segment]:
    """Yields each segment when it ends, from a causal network that sees a file or a camera frame by frame."""
    frames = stream.read_frames(source, run.clip, run.inputs)
    times, label, start, total, count, time = [], None, 0.0, 0.0, 0, 0.0

    def images():
        for frame, seconds in frames:
            times.append(seconds)
            yield frame

    for scores in frame_scores.of_stream(run, images()):
        time, best = times.pop(), int(scores.argmax())
        if best != label:
            if label is not None and run.labels[label] != BACKGROUND and time - start >= min_seconds:
                yield Segment(start, time, run.labels[label], total / count)
            label, start, total, count = best, time, 0.0, 0
        total, count = total + float(scores[best]), count + 1
    if label is not None and run.labels[label] != BACKGROUND and time - start >= min_seconds:
        yield Segment(start, time, run.labels[label], total / count)


def line_of(segment: Segment) -> str:
    return f"{segment.start:9.2f} {segment.end:9.2f}  {segment.score:.2f}  {segment.label}"


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vidjax detect",
        description="Finds the activities in untrimmed videos with a run that labels every frame.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="video files")
    add("--workdir", type=Path, required=True, help="directory of the run")
    add("--stream", metavar="VIDEO|camera", help="print each segment when it ends; for causal networks on frames")
    add("--threshold", type=float, help="least probability of a segment's frames; by default the most probable class")
    add("--smooth", type=float, default=0.0, metavar="SECONDS", help="standard deviation of a Gaussian over time")
    add("--min_seconds", type=float, default=0.0, help="shorter segments are left out")
    add(
        "--out", type=Path, help=".json or .csv for any number of videos; .txt, .srt, .vtt, or .mp4 with labels for one"
    )
    add("--truth", type=Path, metavar="CSV", help="true segments (path,start,end,label) for the picture")
    add("--picture", type=Path, metavar="PNG", help="timeline of the segments")
    args = parser.parse_args(argv)
    if bool(args.videos) == bool(args.stream):
        parser.error("give videos, or --stream with one")
    if args.stream and (args.out or args.picture or args.threshold is not None or args.smooth):
        parser.error("--stream prints segments only: remove --out, --picture, --threshold and --smooth")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        parser.error(f"--threshold {args.threshold:g} must be in [0, 1]")
    for name in ("smooth", "min_seconds"):
        if not 0 <= getattr(args, name) < float("inf"):
            parser.error(f"--{name} {getattr(args, name):g} must be 0 or more seconds")
    suffixes = (*MANY, *ONE, VIDEO)
    if args.out and args.out.suffix not in suffixes:
        parser.error(f"--out {args.out} must end in {', '.join(suffixes)}")
    if args.out and args.out.suffix not in MANY and len(args.videos) > 1:
        parser.error(f"--out {args.out} is for one video; give a .json or .csv file for several")
    if args.truth and not args.picture:
        parser.error("--truth needs --picture")
    return args


def truth_of(path: Path, videos: list[str]) -> dict[str, list[Segment]]:
    """Returns the true segments of the videos, which a CSV names by path or file name."""
    named = {Path(name).name: segments for name, segments in segment_files.read_csv(path).items()}
    return {video: named[Path(video).name] for video in videos if Path(video).name in named}


def main():
    args = parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        for path in filter(None, (args.out, args.picture)):
            output_paths.check_writable(path.absolute().parent, f"the directory of {path}")
        truth = truth_of(args.truth, args.videos) if args.truth else None
        run = restore.from_run(args.workdir)
        frame_scores.check(run)
        if args.stream:
            if "prefix" in run.inputs:
                raise ValueError(f"{run.name} sees stored features: --stream needs a network that sees frames.")
            for segment in streamed(run, args.stream, args.min_seconds):
                print(line_of(segment), flush=True)
            return
        encoder = frame_scores.encoder_of(run.inputs, features.make_features_fn)
        found, durations = {}, {}
        for path in args.videos:
            scores, fps = frame_scores.of_video(run, path, encoder)
            found[path], durations[path] = segments_of(scores, fps, run.labels, args), len(scores) / fps
            print(f"{path}: {len(found[path])} segments in {durations[path]:.1f} s")
            print("\n".join(map(line_of, found[path])))
        if args.out and args.out.suffix == VIDEO:
            burn_in.write(Path(args.videos[0]), found[args.videos[0]], args.out)
        elif args.out and args.out.suffix in ONE:
            ONE[args.out.suffix](args.out, found[args.videos[0]])
        elif args.out:
            MANY[args.out.suffix](args.out, found)
        if args.picture:
            timeline.draw(found, args.picture, truth=truth, durations=durations)
        for path in filter(None, (args.out, args.picture)):
            print(f"Wrote {path}")
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax detect: {error}")


if __name__ == "__main__":
    main()
