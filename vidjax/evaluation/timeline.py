"""Draws the segments of videos over time, the true ones above the predicted ones (matplotlib, without a display).

    timeline.draw(predicted, Path("timeline.png"), truth=truth)

Names that no installed font can show become numbers: classes with a legend in a file, see `label_fonts.write_legend`,
and videos in the order of the picture.
"""

import colorsys
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vidjax import label_fonts
from vidjax.data.segment_files import Segment

MOST_VIDEOS = 40  # in one picture
WIDTH, ROW = 12.0, 0.19  # inches: of the picture, and from one row to the next
UNLABELLED = "0.92"

Videos = Mapping[str, Sequence[Segment]]


def draw(
    predicted: Videos,
    path: Path | io.BytesIO,
    *,
    truth: Videos | None = None,
    labels: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    unit: str = "seconds",
):
    """Draws a bar with the segments of each video, below a bar with the true ones if they are known, and saves a PNG.

    Each class has a colour. Segments of a bar that overlap share its height.

    Args:
        predicted: segments by video.
        truth: true segments by video. A video may be in only one of the two.
        labels: the classes in the order of colours, so that two pictures agree; those that occur, sorted, by default.
        durations: of videos; without them a video ends with its last segment.
        unit: of all times.

    Raises:
        ValueError: without videos, for more than `MOST_VIDEOS`, or for a label that is not in `labels`.
    """
    names = list(dict.fromkeys([*predicted, *(truth or {})]))
    if not 0 < len(names) <= MOST_VIDEOS:
        raise ValueError(f"A timeline shows 1 to {MOST_VIDEOS} videos, not {len(names)}; choose some of them.")
    bars = {name: {"true": (truth or {}).get(name), "predicted": predicted.get(name)} for name in names}
    used = {x.label for of_video in bars.values() for segments in of_video.values() for x in segments or ()}
    labels = sorted(used, key=str) if labels is None else list(labels)
    if unknown := used - {*labels}:
        raise ValueError(f"Unknown labels {_joined(sorted(unknown, key=str))}; choose from {_joined(labels)}.")
    colours = dict(zip(labels, class_colours(len(labels)), strict=True))

    shown, texts = [label for label in labels if label in used], label_fonts.shown(list(map(str, labels)))
    columns = max(1, int(WIDTH / (0.6 + 0.075 * max(map(len, texts.texts), default=0))))
    num_rows = sum(1.6 + sum(segments is not None for segments in of_video.values()) for of_video in bars.values())
    height = ROW * (num_rows + 1.2 * -(-len(shown) // columns)) + 0.8
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    _draw_bars(axes, bars, colours, durations or {})
    axes.set_xlabel(unit)
    if shown:
        handles = [Patch(color=colours[label]) for label in shown]
        legend = figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
        for text, label in zip(legend.get_texts(), shown, strict=True):
            text.set(text=texts.texts[labels.index(label)], **texts.style)
    figure.savefig(path, dpi=120)
    if texts.is_numbered and isinstance(path, Path):
        label_fonts.write_legend(path, list(map(str, labels)))


def class_colours(count: int) -> list[tuple[float, float, float]]:
    """Returns a colour per class, RGB in [0, 1]: matplotlib's for up to 18 classes, else hues in two lightnesses.

    None is grey: that is a stretch without a segment.
    """
    for name in ("tab10", "tab20"):
        coloured = [rgb for rgb in matplotlib.colormaps[name].colors if max(rgb) > min(rgb)]
        if count <= len(coloured):
            return coloured[:count]
    return [colorsys.hls_to_rgb(i / count, (0.4, 0.65)[i % 2], 0.75) for i in range(count)]


def lanes(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Returns the lane of each segment, from 0, and the number of lanes there, so that no two in a lane overlap.

    Only segments that overlap, directly or through others, share the height; the rest have one lane.
    """
    found, group, ends = [(0, 1)] * len(segments), [], []
    for i in sorted(range(len(segments)), key=lambda i: segments[i][:2]):
        if ends and segments[i].start >= max(ends):
            group, ends = [], []
        lane = next((lane for lane, end in enumerate(ends) if end <= segments[i].start), len(ends))
        ends[lane : lane + 1] = [segments[i].end]
        found[i] = (lane, len(ends))
        group.append(i)
        for other in group:
            found[other] = (found[other][0], len(ends))
    return found


def _draw_bars(axes: Axes, bars: dict[str, dict], colours: dict, durations: Mapping[str, float]):
    names = label_fonts.shown(list(bars))
    y, ticks, length = 0.0, {}, 0.0
    for (name, of_video), text in zip(bars.items(), names.texts, strict=True):
        axes.text(0, y + 0.85, text, fontsize=9, va="bottom", **names.style)
        y += 1
        last = max((x.end for segments in of_video.values() for x in segments or ()), default=0)
        duration = durations.get(name, last)
        length = max(length, duration, last)
        for kind, segments in of_video.items():
            if segments is None:
                continue
            axes.barh(y + 0.4, duration, height=0.8, color=UNLABELLED)
            ticks[y + 0.4] = kind
            of_lanes = defaultdict(list)
            for x, place in zip(segments, lanes(segments), strict=True):
                of_lanes[place].append(x)
            for (lane, count), group in of_lanes.items():  # one artist per lane; one per segment would take 13 kB each
                bars_of_lane = [(x.start, x.end - x.start) for x in group]
                style = {"facecolors": [colours[x.label] for x in group], "edgecolor": "white", "linewidth": 0.3}
                axes.broken_barh(bars_of_lane, (y + lane * 0.8 / count, 0.8 / count), **style)
            y += 1
        y += 0.6
    axes.set(xlim=(0, length or 1), ylim=(y, 0))
    axes.set_yticks(list(ticks), ticks.values(), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _joined(labels: Sequence) -> str:
    return ", ".join(map(str, labels))
