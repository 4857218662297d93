"""Writes and reads labelled segments of videos as text, CSV and JSON, and reads annotations and detections of THUMOS14.

    write_csv, read_csv      path,start,end,label,score      any number of videos, {video: segments}
    write_json, read_json    ActivityNet                     any number of videos
    write_text, read_text    start end label score           one video
    read_thumos              THUMOS14                        a folder with one file per class
    read_detections          video start end class score     detections published for THUMOS14

Times are seconds. Readers return the segments of a video in order of time. They raise a ValueError, which names the
place, for what cannot be right: an empty file, an end that is not after its start, an unknown label. `say` receives a
line about what published datasets have, too: segments that overlap, end after their video, or have no length in JSON.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from vidjax.data.sources.text_files import clean, numbered_lines, split_lines
from vidjax.data.sources.text_files import read_text as read_any_text

COLUMNS = ("path", "start", "end", "label", "score")
THUMOS14_CLASSES = {  # by their numbers in UCF-101, from 1, which published detections use
    **{7: "BaseballPitch", 9: "BasketballDunk", 12: "Billiards", 21: "CleanAndJerk", 22: "CliffDiving"},
    **{23: "CricketBowling", 24: "CricketShot", 26: "Diving", 31: "FrisbeeCatch", 33: "GolfSwing"},
    **{36: "HammerThrow", 40: "HighJump", 45: "JavelinThrow", 51: "LongJump", 68: "PoleVault", 79: "Shotput"},
    **{85: "SoccerPenalty", 92: "TennisSwing", 93: "ThrowDiscus", 97: "VolleyballSpiking"},
}


class Segment(NamedTuple):
    """A labelled stretch of a video.

    Attributes:
        start, end: seconds from the first frame.
        label: name or number of the class.
        score: higher is more certain; 1 for annotations.
    """

    start: float
    end: float
    label: str | int
    score: float = 1.0


Say = Callable[[str], None]
Videos = dict[str, list[Segment]]
Durations, Labels = Mapping[str, float] | None, Collection[str] | None


# ------------------------------------------------------------------------------------------------------------ one video


def write_text(path: Path, segments: Iterable[Segment]):
    """Writes a line `start end label score` per segment, ordered by start. Labels may have spaces.

    Raises:
        ValueError: for impossible times, an empty label or one with a line break; so do the other writers.
    """
    save_text(path, "".join(f"{x.start} {x.end} {x.label} {x.score}\n" for x in ready_to_write(path, segments)))


def read_text(path: Path) -> list[Segment]:
    """Reads lines `start end label score`; an empty file has no segments."""
    found = []
    for where, line in numbered_lines(path):
        if len(line.split()) < 4:
            raise ValueError(f"{where}: {line!r} is not `start end label score`.")
        start, end, rest = line.split(maxsplit=2)
        found.append(make_segment(where, start, end, *rest.rsplit(maxsplit=1)))
    return in_order(found)


# ---------------------------------------------------------------------------------------------------------- many videos


def write_csv(path: Path, videos: Mapping[str, Iterable[Segment]]):
    """Writes a row path,start,end,label,score per segment; a video without segments has no row."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for video, segments in videos.items():
        writer.writerows([video, *segment] for segment in ready_to_write(video, segments))
    save_text(path, file.getvalue())


def read_csv(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    durations: Durations = None,
    labels: Labels = None,
    say: Say = print,
) -> Videos:
    """Reads a table with a header, one row per segment, separated by commas, semicolons or tabs.

    Args:
        columns: other names of path, start, end, label and score, such as {"path": "video"}. Score may be missing.
        durations: seconds per video, as far as they are known.
        labels: the classes; a label that is not among them is an error.
    """
    names = {name: name for name in COLUMNS} | dict(columns or {})
    text = read_any_text(Path(path), say)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=split_lines(text)[0].count))
    rows.fieldnames = header = [clean(name) for name in rows.fieldnames or []]
    if missing := [names[name] for name in COLUMNS[:4] if names[name] not in header]:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}. Rename its columns, or "
            "name them with `columns`."
        )
    videos = {}
    for row in rows:
        where, cells = f"{path}, line {rows.line_num}", [clean(row[names[name]] or "") for name in COLUMNS[:4]]
        if not cells[0]:
            raise ValueError(f"{where}: the column {names['path']} is empty.")
        videos.setdefault(cells[0], []).append(make_segment(where, *cells[1:], row.get(names["score"]) or 1))
    if not videos:
        raise ValueError(f"{path} has a header, but no segments.")
    return _checked(path, videos, durations, labels, say)


def write_json(path: Path, videos: Mapping[str, Iterable[Segment]]):
    """Writes detections in the layout that ActivityNet's evaluation reads."""
    results = {
        video: [
            {"segment": [x.start, x.end], "label": x.label, "score": x.score} for x in ready_to_write(video, segments)
        ]
        for video, segments in videos.items()
    }
    save_text(path, json.dumps({"version": "VERSION 1.3", "results": results, "external_data": {}}, indent=1) + "\n")


def read_json(path: Path, *, subset: str | None = None, labels: Labels = None, say: Say = print) -> Videos:
    """Reads ActivityNet's annotations or detections. A video without segments has [], like those of its test set.

    Segments that end where they start, which release 1.3 has, are left out.

    Args:
        subset: of the annotations, such as "validation"; all by default.
        labels: see `read_csv`.
    """
    content = _json_object(path)
    database = content.get("database", content.get("results"))
    if not isinstance(database, dict) or not database:
        raise ValueError(f'{path} has no videos: it needs an object "database" (annotations) or "results".')
    entries = {video: {"annotations": x} if isinstance(x, list) else x for video, x in database.items()}
    subsets = {str(entry.get("subset")) for entry in entries.values()}
    if subset is not None and subset not in subsets:
        raise ValueError(f"{path} has no subset {subset}; it has {', '.join(sorted(subsets))}.")
    videos, durations, empty = {}, {}, []
    for video, entry in entries.items():
        if subset in (None, entry.get("subset")):
            durations[video], videos[video] = float(entry.get("duration", math.inf)), []
            for number, x in enumerate(entry.get("annotations", [])):
                where = f"{path}, {video}, segment {number}"
                if not isinstance(x.get("segment"), list) or len(x["segment"]) != 2 or "label" not in x:
                    raise ValueError(f'{where} must have "segment": [start, end] and a "label".')
                if x["segment"][0] == x["segment"][1]:
                    empty.append(f"{x['label']} of {video} at {x['segment'][0]} s")
                    continue
                videos[video].append(make_segment(where, *x["segment"], x["label"], x.get("score", 1)))
    if empty:
        say(f"note: {path}: segments without length, which are left out: {len(empty)}. The first: {empty[0]}.")
    return _checked(path, videos, durations, labels, say)


def _json_object(path: Path) -> dict:
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object: it holds {str(content)[:40]}.")
    return content


def read_thumos(folder: Path, *, durations: Durations = None, labels: Labels = None, say: Say = print) -> Videos:
    """Reads THUMOS14's temporal annotations: files CLASS_test.txt or CLASS_val.txt with lines `video start end`.

    "Ambiguous" is a label like the others. Videos are in the order of their names.

    Args:
        durations, labels: see `read_csv`.
    """
    videos = {}
    if not (files := sorted(path for path in Path(folder).glob("*.txt") if path.stem.endswith(("_test", "_val")))):
        raise ValueError(f"{folder} has no file like Billiards_test.txt or Billiards_val.txt.")
    for file in files:
        if not (lines := numbered_lines(file, say)):
            raise ValueError(f"{file} is empty; download it again.")
        for where, line in lines:
            if len(cells := line.split()) != 3:
                raise ValueError(f"{where}: {line!r} is not `video start end`.")
            videos.setdefault(cells[0], []).append(make_segment(where, *cells[1:], file.stem.rpartition("_")[0]))
    return _checked(folder, dict(sorted(videos.items())), durations, labels, say)


def read_detections(path: Path, *, classes: Mapping[int, str] = THUMOS14_CLASSES) -> Videos:
    """Reads detections, such as those of TURN for THUMOS14, from lines `video start end class-number score`.

    Videos are in the order of their names.

    Args:
        path: a file, or a folder with the files *.txt of one detector, such as one per class.
        classes: names of the classes by number.

    Raises:
        ValueError: also if two files of a folder have detections of one class in one video; they are those of two
            detectors or thresholds.

    Source: Gao et al., "TURN TAP" (2017), and github.com/jiyanggao/TURN-TAP.
    """
    if not (files := sorted(Path(path).glob("*.txt")) if Path(path).is_dir() else [Path(path)]):
        raise ValueError(f"{path} has no file *.txt; give a file, or unpack those in the folder.")
    videos, owners = {}, {}
    for file in files:
        for where, line in numbered_lines(file):
            if len(cells := line.split()) != 5 or not cells[3].isdecimal():
                raise ValueError(f"{where}: {line!r} is not `video start end class-number score`.")
            video, start, end, number, score = cells
            if int(number) not in classes:
                raise ValueError(f"{where}: unknown class {number}; choose from {', '.join(map(str, classes))}.")
            if (owner := owners.setdefault((video, number), file)) != file:
                raise ValueError(
                    f"{owner} and {file} both have detections of class {number} in {video}; give one file."
                )
            videos.setdefault(video, []).append(make_segment(where, start, end, classes[int(number)], score))
    if not videos:
        raise ValueError(f"{path} has no detections.")
    return {video: in_order(segments) for video, segments in sorted(videos.items())}


# --------------------------------------------------------------------------------------------------------------- checks


def make_segment(where: str | Path, start, end, label, score=1) -> Segment:
    """Returns a segment with numbers as floats, or raises a ValueError if it has no label or impossible times."""
    try:
        start, end, score = float(start), float(end), float(score)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: start {start!r}, end {end!r} and score {score!r} must be numbers.") from None
    if not all(map(math.isfinite, (start, end, score))):
        raise ValueError(f"{where}: start {start}, end {end} and score {score} must be finite.")
    if start < 0:
        raise ValueError(f"{where}: the start, {start} s, is before the video; correct it.")
    if end <= start:
        raise ValueError(
            f"{where}: the end, {end} s, is not after the start, {start} s; correct it, or remove the segment."
        )
    if not (label := clean(str(label))):
        raise ValueError(f"{where}: the segment from {start} to {end} s has no label.")
    return Segment(start, end, label, score)


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Returns segments ordered by start, then end."""
    return sorted(segments, key=lambda segment: segment[:2])


def ready_to_write(where: str | Path, segments: Iterable[Segment]) -> list[Segment]:
    """Returns checked segments in order of time, or raises a ValueError, also if a label has a line break."""
    found = in_order(make_segment(where, *segment) for segment in segments)
    if wrong := [segment.label for segment in found if re.search(r"[\r\n]", segment.label)]:
        raise ValueError(f"{where}: the label {wrong[0]!r} has a line break; rename it.")
    return found


def _checked(path: Path, videos: Videos, durations: Durations, labels: Labels, say: Say) -> Videos:
    """Returns the videos with segments in order of time, after checks that need more than one segment."""
    unknown = {
        x.label for segments in videos.values() for x in segments if labels is not None and x.label not in labels
    }
    if unknown:
        raise ValueError(f"{path}: unknown labels {', '.join(sorted(unknown))}; choose from {', '.join(labels)}.")
    found = {video: in_order(segments) for video, segments in videos.items()}
    late, overlaps = [], []
    for video, segments in found.items():
        duration, latest = (durations or {}).get(video, math.inf), None
        for x in segments:
            if x.end > duration:
                late.append(f"{x.label} of {video} ends at {x.end} s, the video at {duration} s")
            if latest and x.start < latest.end:
                place = f"{x.label} of {video} starts at {x.start} s, {latest.label} ends at {latest.end} s"
                overlaps.append((place, x.label == latest.label))
            latest = max(latest or x, x, key=lambda segment: segment.end)
    if late:
        say(f"note: {path}: segments that end after their video: {len(late)}. The first: {late[0]}.")
    if overlaps:
        same = sum(is_same for _, is_same in overlaps)
        say(f"note: {path}: segments that overlap: {len(overlaps)}, of one class: {same}. The first: {overlaps[0][0]}.")
    return found


# ----------------------------------------------------------------------------------------------------------------- text


def save_text(path: Path, text: str):
    """Writes UTF-8 with the line ends of `text`; names of files that are not UTF-8 keep their bytes."""
    Path(path).write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
