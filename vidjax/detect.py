"""Finds the activities in untrimmed videos: segments with start, end, label and score.

    vidjax detect film.mp4 --workdir runs/ms_tcn
    vidjax detect film.mp4 --workdir runs/ms_tcn --out film.srt --picture film.png
    vidjax detect *.mp4 --workdir runs/ms_tcn --out segments.csv --truth annotations.csv --picture all.png
    vidjax detect film.mp4 --workdir runs/ms_tcn --out labelled.mp4
    vidjax detect film.mp4 --weights i3d_kinetics400_rgb --picture film.png
    vidjax detect --stream camera --workdir runs/causal

A run that labels every frame (config.target = "frame") gives segments by the rule that `vidjax evaluate --choose_rule`
wrote to its work directory. Without one, segments are the runs of the most probable class or, if a frame may have
several labels (loss sigmoid), the runs of frames with a probability of at least 0.5. --rule, --threshold, --smooth and
--min_seconds override the rule. The class "background" gives no segments.

A network that classifies clips sees overlapping windows of their length. It knows no background, so that a class needs
a probability of 0.3 by default. Segments of a rule with a threshold may overlap.
"""

import argparse
import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import logging as absl_logging

from vidjax import features, output_paths
from vidjax.data import burn_in, segment_files, subtitles
from vidjax.data.segment_files import Segment
from vidjax.data.sources.untrimmed import BACKGROUND
from vidjax.evaluation import segment_rule, timeline
from vidjax.inference import frame_scores, restore, stream, views

MANY = {".json": segment_files.write_json, ".csv": segment_files.write_csv}  # any number of videos
ONE = {".txt": segment_files.write_text, ".srt": subtitles.write_srt, ".vtt": subtitles.write_vtt}
VIDEO = ".mp4"


def rule_of(run: restore.Trained, args: argparse.Namespace) -> segment_rule.Rule:
    """Returns the rule of the work directory, or the default one, with the arguments that override it.

    Raises:
        ValueError: if segment_rule.json is damaged, or the network cannot have this rule.
    """
    default = segment_rule.default(run.multi_label, of_clips=not frame_scores.labels_frames(run))
    chosen = segment_rule.read(args.workdir) if args.workdir else None
    given = {name: getattr(args, name) for name in ("threshold", "smooth", "min_seconds")}
    given = {name: value for name, value in given.items() if value is not None}
    if args.rule or "threshold" in given:
        given["how"] = args.rule or "threshold"
    if args.rule == "montes" != (chosen or default).how:
        given.setdefault("threshold", 0.2)  # the best of the paper
    rule = (chosen or default)._replace(**given)
    if rule.how not in (possible := segment_rule.possible(run.labels, run.multi_label)):
        raise ValueError(f"--rule {rule.how} does not go with the classes of {run.name}: choose {', '.join(possible)}.")
    if chosen or rule != segment_rule.Rule():
        source = f", from {args.workdir / segment_rule.FILE}" if rule == chosen else ""
        print(f"Rule: {segment_rule.described(rule)}{source}")
    return rule


def streamed(run: restore.Trained, source: str, min_seconds: float) -> Iterator[Segment]:
    """Yields each segment when it ends, from a causal network that sees a file or a camera frame by frame."""
    frames = views.until_damage(stream.read_frames(source, run.clip, run.inputs))
    times, label, start, total, count, time, duration = [], None, 0.0, 0.0, 0, 0.0, 0.0

    def images():
        for frame, seconds in frames:
            times.append(seconds)
            yield frame

    def ended(end: float) -> Iterator[Segment]:
        if label is not None and run.labels[label] != BACKGROUND and end - start >= min_seconds - 1e-6:
            yield Segment(start, end, run.labels[label], total / count)

    for scores in frame_scores.of_stream(run, images()):
        best, before, time = int(scores.argmax()), time, times.pop(0)  # with a look-ahead several frames wait
        duration = time - before
        if best != label:
            yield from ended(time)
            label, start, total, count = best, time, 0.0, 0
        total, count = total + float(scores[best]), count + 1
    yield from ended(time + duration)  # the last frame lasts as long as the one before it


def line_of(segment: Segment) -> str:
    return f"{segment.start:9.2f} {segment.end:9.2f}  {segment.score:.2f}  {segment.label}"


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="vidjax detect",
        description="Finds activities in untrimmed videos, with a network that labels frames or a clip classifier.",
    )
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="video files")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, help="directory of the run")
    network.add_argument("--weights", metavar="NAME|FILE", help="a name listed by `vidjax weights`, or a weights file")
    add("--stream", metavar="VIDEO|camera", help="print each segment when it ends; for causal networks on frames")
    add("--rule", choices=segment_rule.HOW, help="runs of the most probable class; runs above a threshold (default if "
        "there is one); or one class per video, in the parts that are not background (Montes et al.)")  # fmt: skip
    add(
        "--threshold", type=float, help="smallest probability of a class, or with montes of any activity (default: 0.2)"
    )
    add("--smooth", type=float, metavar="SECONDS", help="standard deviation of a Gaussian over time, or with montes "
        "half the window of a mean (default: 0)")  # fmt: skip
    add("--min_seconds", type=float, help="shorter segments are left out (default: 0)")
    add(
        "--out", type=Path, help=".json or .csv for any number of videos; .txt, .srt, .vtt, or .mp4 with labels for one"
    )
    add("--truth", type=Path, metavar="CSV", help="true segments (path,start,end,label) for the picture")
    add("--picture", type=Path, metavar="PNG", help="timeline of the segments")
    args = parser.parse_args(argv)
    if bool(args.videos) == bool(args.stream):
        parser.error("give videos, or --stream with one")
    if args.stream and (args.out or args.picture or args.rule or args.threshold is not None or args.smooth):
        parser.error("--stream prints segments only: remove --out, --picture, --rule, --threshold and --smooth")
    if args.rule == "argmax" and args.threshold is not None:
        parser.error("--threshold is for --rule threshold and montes, not argmax")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        parser.error(f"--threshold {args.threshold:g} must be in [0, 1]")
    for name in ("smooth", "min_seconds"):
        if (value := getattr(args, name)) is not None and not 0 <= value < float("inf"):
            parser.error(f"--{name} {value:g} must be 0 or more seconds")
    suffixes = (*MANY, *ONE, VIDEO)
    if args.out and args.out.suffix not in suffixes:
        parser.error(f"--out {args.out} must end in {', '.join(suffixes)}")
    if args.out and args.out.suffix not in MANY and len(args.videos) > 1:
        parser.error(f"--out {args.out} is for one video; give a .json or .csv file for several")
    if args.truth and not args.picture:
        parser.error("--truth needs --picture")
    inputs = {Path(place).resolve() for place in (*args.videos, args.truth) if place}
    for path in filter(None, (args.out, args.picture)):
        if path.resolve() in inputs:
            parser.error(f"{path} would be replaced by the result: name another file")
    return args


def truth_of(path: Path, videos: list[str]) -> dict[str, list[Segment]]:
    """Returns the true segments of the videos, which a CSV names by path or file name.

    If it has several videos of one file name, the one in the folders that agree most is taken.

    Raises:
        ValueError: if it names none of them.
    """
    named, found = segment_files.read_csv(path), {}
    for video in videos:
        name = max(named, key=lambda name: common_end(name, video))
        if common_end(name, video):
            found[video] = named[name]
    if not found:
        raise ValueError(
            f"--truth {path} names none of the videos, but {', '.join(list(named)[:3])}: correct its paths."
        )
    return found


def common_end(a: str, b: str) -> int:
    """Counts the equal parts at the end of two paths: the file name, then folders."""
    parts = zip(reversed(Path(a).parts), reversed(Path(b).parts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], parts))


def main():
    args = parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        for path in filter(None, (args.out, args.picture)):
            output_paths.check_writable(path.absolute().parent, f"the directory of {path}")
        truth = truth_of(args.truth, args.videos) if args.truth else None
        run = restore.from_run(args.workdir) if args.workdir else restore.from_weights(args.weights)
        frame_scores.check(run)
        if args.stream:
            if not frame_scores.labels_frames(run):
                raise ValueError(f"{run.name} classifies clips: use vidjax predict --stream.")
            if run.multi_label:
                raise ValueError(f"{run.name} gives a frame several labels: --stream needs exclusive classes.")
            if "prefix" in run.inputs:
                raise ValueError(f"{run.name} sees stored features: --stream needs a network that sees frames.")
            if segment_rule.read(args.workdir):
                print(f"note: --stream does not use {segment_rule.FILE}: it prints the most probable classes.")
            with contextlib.suppress(KeyboardInterrupt):  # the way to stop a camera
                for segment in streamed(run, args.stream, args.min_seconds or 0.0):
                    print(line_of(segment), flush=True)
            return
        rule = rule_of(run, args)
        encoder = frame_scores.encoder_of(run.inputs, features.make_features_fn)
        found, durations = {}, {}
        for path in args.videos:
            scores, fps = frame_scores.of_video(run, path, encoder)
            found[path], durations[path] = segment_rule.segments_of(scores, fps, rule, run.labels), len(scores) / fps
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
