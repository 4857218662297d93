"""Runs -> one page: the table, curves, confusions, accuracy against compute, mistakes, and where networks look.

    python -m vidjax.report runs/ladder_motion --out report.html
    python -m vidjax.report runs/a runs/b --out report.html [--examples 6] [--no_maps]

A directory is that of a ladder, of a run, or of a cross-validation. The page is one file that needs no network, and is
readable without JavaScript, which only sorts the table. Frames are shown where the records still are where the run had
them.
"""

import argparse
import base64
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from absl import logging as absl_logging
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from tqdm import tqdm

from vidjax import config as configs
from vidjax import gradcam, ladder_runs, plots, predictions, report_page, trained
from vidjax.data import clips, pipeline, video
from vidjax.progress import read_metrics

FRAMES, HEIGHT = 8, 64  # of a strip: how many at most, and pixels


class Entry(NamedTuple):
    """One row of the page.

    Attributes:
        row: of ladder.json, see `ladder_table.row`.
        places: directories whose result.json its figures are from.
        runs: those of them, or of their folds, that are runs: with config.json, checkpoints and predictions.csv.
    """

    row: dict
    places: list[Path]
    runs: list[Path]


# ----------------------------------------------------------------------------------------------- directories -> entries


def entries_of(workdir: Path) -> tuple[dict, list[Entry]]:
    """The content of ladder.json, or the like of a single run, and its entries.

    Raises:
        ValueError: for what is none of a ladder, a finished run, or a finished cross-validation.
    """
    if (workdir / "ladder.json").exists():
        content = json.loads((workdir / "ladder.json").read_text())
    elif (workdir / "result.json").exists():
        content = of_single(workdir)
    elif (workdir / "config.json").exists() or any(workdir.glob("seed_*/fold_*")):
        raise ValueError(f"{workdir} is not finished: run its command again, which goes on.")
    else:
        raise ValueError(f"{workdir} is no run: it has neither ladder.json nor config.json and result.json.")
    entries = []
    for row in content["rungs"]:
        places = [workdir / place for place in row["runs"]]
        inner = [run for place in places for run in ([place] if (place / "config.json").exists() else folds_in(place))]
        entries.append(Entry(row, places, inner))
    return content, entries


def folds_in(place: Path) -> list[Path]:
    """The runs of a cross-validation, in the order of seeds and folds."""
    return sorted(place.glob("seed_*/fold_*"), key=lambda run: (run.parent.name, len(run.name), run.name))


def of_single(workdir: Path) -> dict:
    """A run or a cross-validation as a ladder of one rung."""
    result = json.loads((workdir / "result.json").read_text())
    if "top1" not in result:
        raise ValueError(f"{workdir} has no top1: reports are of classifiers with one label a video or frame.")
    figures = ladder_runs.figures_of([ladder_runs.Run("", workdir, [], [])])
    count = figures.pop("num_videos")
    found = {name: ladder_runs.summarised(values, count) for name, values in figures.items()}
    row = {"name": workdir.name, "title": str(workdir), "group": result.get("model", ""), "sees_order": True}
    row |= {"parameters": result.get("num_params"), "multiply-adds": None, "speed": {}, "note": ""}
    row |= {"seconds": result.get("seconds", 0.0), "on_features": False}
    row |= {"figures": {"": {**found, "num_videos": count}}, "runs": ["."]}
    return {"title": str(workdir), "parts": [""], "rungs": [row], "chosen": {}, "machines": [], "published": []}


def files_of(entry: Entry) -> list[Path]:
    """What the figures of an entry are from."""
    files = [place / name for place in entry.places for name in ("result.json", "speed.json")]
    return [path for path in files if path.exists()]


# -------------------------------------------------------------------------------------------------- entries -> pictures


def as_png(draw, *arguments) -> str:
    """A picture of `plots`, as base64."""
    file = io.BytesIO()
    draw(*arguments, file)
    return base64.b64encode(file.getvalue()).decode()


def curves(entry: Entry) -> str:
    """Loss and hit@1 over the steps of the first run, as base64; "" where it logged nothing."""
    lines = read_metrics(entry.runs[0] / "metrics.jsonl") if entry.runs else []
    return as_png(plots.curves, lines) if lines else ""


def confusion(entry: Entry) -> str:
    """The confusions of all runs, added up, as base64; "" where there are none."""
    found, labels = 0, []
    for place in entry.runs or entry.places:
        result = json.loads((place / "result.json").read_text()) if (place / "result.json").exists() else {}
        if "confusion" in result:
            found = found + np.asarray(result["confusion"])
            labels = labels or result.get("labels", []) or labels_of(place)
    if np.ndim(found) != 2:
        return ""
    return as_png(plots.confusion, found, labels or [str(number) for number in range(len(found))])


def labels_of(place: Path) -> list[str]:
    return configs.read(place)[1] if (place / "config.json").exists() else []


def compute_chart(entries: Sequence[Entry], part: str) -> str:
    """Accuracy against multiply-adds of a clip as SVG; the numbers are those of the table's rows. "" without any.

    Rungs on stored features are left out: what these cost is not in their multiply-adds.
    """
    points = [
        (number, e.row["multiply-adds"], 100 * e.row["figures"][part]["top1"]["mean"], e.row)
        for number, e in enumerate(entries, 1)
        if e.row["multiply-adds"] and part in e.row["figures"] and not e.row["on_features"]
    ]
    if not points:
        return ""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    groups = list(dict.fromkeys(row["group"] for *_, row in points))
    for k, group in enumerate(groups):
        of_group = [(x, y) for _, x, y, row in points if row["group"] == group]
        axes.scatter(*zip(*of_group, strict=True), color=f"C{k}", s=28, label=group or "runs")
    for number, x, y, _ in points:
        axes.annotate(str(number), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="multiply-adds of a clip", ylabel=f"top1 %{', ' + part if part else ''}")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(EngFormatter())
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


# ------------------------------------------------------------------------------------------------------ what it said


class Example(NamedTuple):
    """A video, which run said what of it, and as base64 its frames, and where the network looked by a layer's maps."""

    run: Path
    said: dict
    frames: str = ""
    heat: str = ""
    layer: str = ""


class Videos:
    """The test videos of a run."""

    def __init__(self, run: Path):
        config, _, _ = configs.read(run)
        self.arguments = {**configs.clip_of(config), "num_views": 1, "num_crops": 1}
        self.streams = self.arguments.pop("streams", ("video",))
        self.source = pipeline.open_records(config.dataset, config.test_splits)

    def batch(self, said: dict) -> dict:
        """What the network sees of a video in the middle one of its clips, a batch of one; {} of features."""
        if "prefix" in self.source.info.inputs:
            return {}
        example = self.source[said["number"]]
        clip = clips.eval_clips(example, self.source.info, **self.arguments, streams=self.streams)
        return {name: x for name, x in clip.items() if name in ("video", "flow")}

    def frames(self, said: dict) -> np.ndarray | None:
        """uint8 (T, H, W, 3): the frames of that clip; of records of features those of the file, if it is there.

        None as well where the records hold another video by now.
        """
        if said["number"] >= len(self.source) or self.source[said["number"]].media_id != said["video"]:
            return None
        example = self.source[said["number"]]
        if len(example.images):
            clip = clips.eval_clips(example, self.source.info, **self.arguments, streams=("video",))
            return clip["video"][0]
        if not Path(example.media_id).is_file():
            return None
        return video.read_video(example.media_id, short_side=HEIGHT).frames


def strip(frames: np.ndarray, heat: np.ndarray | None = None) -> str:
    """At most `FRAMES` of the frames side by side, with a heat from 0 to 1 (T, H, W) over them: JPEG as base64."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, FRAMES).round().astype(int))
    width = max(1, round(frames.shape[2] * HEIGHT / frames.shape[1]))
    pictures = []
    for i in chosen:
        picture = cv2.resize(frames[i], (width, HEIGHT), interpolation=cv2.INTER_AREA)[:, :, ::-1]  # BGR
        if heat is not None:
            level = cv2.resize(heat[min(i, len(heat) - 1)], (width, HEIGHT))
            coloured = cv2.applyColorMap(np.round(255 * level).astype(np.uint8), cv2.COLORMAP_TURBO)
            picture = np.round(0.5 * picture + 0.5 * coloured).astype(np.uint8)
        pictures += [picture, np.full((HEIGHT, 2, 3), 255, np.uint8)]
    jpeg = cv2.imencode(".jpg", np.concatenate(pictures[:-1], axis=1), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return base64.b64encode(jpeg.tobytes()).decode()


def examples_of(entry: Entry, count: int, with_maps: bool) -> Iterator[Example]:
    """What the first run said: its most confident mistakes first, then what it got right, `count` of each at most.

    Where a convolutional network looks is shown of the first of either kind, for the class that it predicts.
    """
    run = next((run for run in entry.runs if (run / "predictions.csv").exists()), None)
    if run is None:
        return
    said = predictions.read(run)
    wrong = [row for row in said if row["true"] != row["predicted"]]
    right = [row for row in said if row["true"] == row["predicted"]]
    try:
        videos = Videos(run)
    except ValueError:  # the records are not there any more
        videos = None
    looking = Looking(run) if videos and with_maps and (run / "checkpoints").exists() else None
    for rows in (wrong[:count], right[: max(1, count // 3)]):
        for i, row in enumerate(rows):
            example = Example(run, row)
            try:
                if videos and (frames := videos.frames(row)) is not None:
                    example = example._replace(frames=strip(frames))
                    heat = looking.heat_of(videos.batch(row), row["predicted"]) if i == 0 and looking else None
                    if heat is not None:
                        example = example._replace(heat=strip(frames, heat), layer=looking.grad_cam.layer)
            except ValueError as error:  # a checkpoint or a video that cannot be read
                tqdm.write(f"{run}, video {row['number']}: {error}")
            yield example


class Looking:
    """Where the network of a run looks; it is restored, and compiled, when it is first asked."""

    def __init__(self, run: Path):
        self.run, self.network, self.grad_cam = run, None, None

    def heat_of(self, batch: dict, label: str) -> np.ndarray | None:
        """As of `gradcam.GradCam`; None of a network without maps."""
        if not any(x.ndim == 5 for x in batch.values()):
            return None
        if self.network is None:
            network = self.network = trained.from_run(self.run)
            how = {"model": network.model, "spec": network.preprocess}
            self.grad_cam = gradcam.make_grad_cam(network.params, network.model_state, batch, **how)
        return self.grad_cam and self.grad_cam.heat_of(batch, self.network.labels.index(label))


# ---------------------------------------------------------------------------------------------------------- the command


def report(workdirs: Sequence[Path], out: Path, count: int, with_maps: bool):
    """Writes the page; arguments as of the command, errors as of `entries_of`."""
    found = [entries_of(workdir) for workdir in workdirs]
    single = [(content, entries) for content, entries in found if content["parts"] == [""] and len(entries) == 1]
    if len(single) == len(found) > 1:  # several runs are one table
        content = {**found[0][0], "title": ", ".join(str(workdir) for workdir in workdirs)}
        content["rungs"] = [entry.row for _, entries in found for entry in entries]
        found = [(content, [entry for _, entries in found for entry in entries])]
    parts = []
    for k, (content, entries) in enumerate(found):
        ids = [f"rung-{k + 1}-{number}" for number in range(1, len(entries) + 1)]
        details, bar = [], tqdm(entries, content["title"][:40], unit="rung")
        for number, (entry, of_entry) in enumerate(zip(bar, ids, strict=True), 1):
            examples = list(examples_of(entry, count, with_maps))
            pictures = curves(entry), confusion(entry)
            details.append(report_page.details(of_entry, number, entry, *pictures, examples))
        chart = compute_chart(entries, content["parts"][0])
        files = [files_of(entry) for entry in entries]
        parts.append(report_page.section(content, ids, files, chart, details, out.parent))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report_page.page(", ".join(content["title"] for content, _ in found), parts))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("workdirs", nargs="+", type=Path, metavar="W", help="of a ladder, a run or a cross-validation")
    add("--out", type=Path, default=Path("report.html"), help="the page (default: report.html)")
    add("--examples", type=int, default=6, help="videos of each rung that it was most wrong about (default: 6)")
    add("--no_maps", action="store_true", help="leave out where networks look: it needs them compiled")
    args = parser.parse_args(argv)
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns of what is meant: that it only reads
    try:
        report(args.workdirs, args.out, args.examples, not args.no_maps)
    except ValueError as error:
        sys.exit(f"vidjax.report: {error}")
    print(f"Wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB).")


if __name__ == "__main__":
    main()
