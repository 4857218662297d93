"""Fills page.html, the template of the report: one self-contained file of HTML.

page.html consists of parts, each after a comment with its name. `fill` fills one part, and escapes all texts.
"""

import html
import importlib.resources
import os
import re
import string
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax.analysis import layer_table
from vidjax.ladder import table as ladder_table
from vidjax.report import segments
from vidjax.report.examples import ROLLOUT, Example, Predictions

TEXTS = ("rung", "dial", "note", "group")  # columns of `ladder.table.columns` that are not numbers


class Html(str):
    """Text that is HTML already, which `fill` does not escape."""


class Picture(NamedTuple):
    """A PNG as base64, and its caption."""

    png: str
    caption: str


# ------------------------------------------------------------------------------------------------------- the template


def read_parts() -> dict[str, string.Template]:
    """Reads the parts of page.html, by name."""
    text = importlib.resources.files("vidjax.report").joinpath("page.html").read_text(encoding="utf-8")
    _, *parts = re.split(r"^<!-- (\w+) -->\n", text, flags=re.MULTILINE)
    return {name: string.Template(part.strip()) for name, part in zip(parts[::2], parts[1::2], strict=True)}


PARTS = read_parts()


def fill(part: str, **values) -> Html:
    """Fills a part of page.html with values, which it escapes unless they are `Html`, and with lists of values."""
    return Html(PARTS[part].substitute({name: escaped(value) for name, value in values.items()}))


def optional(part: str, **values) -> Html:
    """Fills a part of page.html if its first value is not empty; else returns ""."""
    return fill(part, **values) if next(iter(values.values())) else Html()


def escaped(value) -> str:
    """Returns a value as HTML; the values of a list are on separate lines. Paths that are not UTF-8 get a ?."""
    if isinstance(value, list):
        return "\n".join(map(escaped, value))
    return value if isinstance(value, Html) else html.escape(str(value).encode(errors="replace").decode())


# --------------------------------------------------------------------------------------------------- parts of the page


def page(title: str, sections: list[Html]) -> Html:
    """Returns the whole page."""
    return fill("page", title=title, sections=sections)


def section(
    content: dict,
    anchors: Sequence[str],
    files: Sequence[Mapping[Path, str]],
    charts: list[Html],
    rungs: list[Html],
    start: Path,
    profiles: Sequence[Picture] = (),
) -> Html:
    """Returns the part of the page about a ladder: its table, charts, and details of its rungs.

    Args:
        content: of ladder.json.
        anchors: ids of the details, one per rung.
        files: the source files of each rung and their names, see `report.entries.files_of`.
        charts: SVG.
        rungs: details, see `rung`.
        start: directory of the page.
        profiles: what all rungs see, see `report.profiles`.
    """
    rows, columns, published = content["rungs"], segments.columns(content), content["published"]
    numbers = list(range(1, len(rows) + 1))
    values = {"#": numbers, **sort_values(columns, rows), "files": [""] * len(rows)}
    to_details = [fill("link", address=f"#{anchor}", text=k) for anchor, k in zip(anchors, numbers, strict=True)]
    to_files = [[link(path, start, text) for path, text in of_rung.items()] for of_rung in files]
    kinds = {"rung": "name", "dial": "text", "note": "text", "group": "text", "files": "links"}
    row_kinds = ["" if row["sees_order"] else "blind" for row in rows]
    return fill(
        "section",
        title=content["title"],
        table=table({"#": to_details, **columns, "files": to_files}, values, kinds, row_kinds),
        interval=fill("interval") if not all(row.get("segments") for row in rows) else "",
        conventions=fill("conventions") if any(row.get("segments") for row in rows) else "",
        speed=ladder_table.speed_text(content),
        chosen=optional("chosen", text=ladder_table.chosen_text(content)),
        published=fill("published", table=published_table(published)) if published else "",
        profiles=optional("profiles", pictures=list(map(wide_picture, profiles))),
        charts=optional("charts", charts=charts),
        rungs=rungs,
    )


def published_table(published: Sequence[dict]) -> Html:
    """Returns the table of published results, with texts as they are."""
    columns = {name: [row[name] or "" for row in published] for name in published[0]}
    return table(columns, columns, dict.fromkeys(columns, "text"), [""] * len(published))


def table(
    columns: Mapping[str, Sequence], values: Mapping[str, Sequence], kinds: Mapping[str, str], row_kinds: Sequence[str]
) -> Html:
    """Returns a table.

    Args:
        columns: content of the cells, by head.
        values: sorting values of the cells, by head.
        kinds: classes in CSS of columns, by head; row_kinds: those of all rows.
    """
    rows = []
    for i, kind in enumerate(row_kinds):
        cells = [fill("cell", kind=kinds.get(x, ""), value=values[x][i], text=columns[x][i]) for x in columns]
        rows.append(fill("row", kind=kind, cells=cells))
    return fill("table", heads=[fill("head", kind=kinds.get(head, ""), text=head) for head in columns], rows=rows)


def sort_values(columns: Mapping[str, Sequence[str]], rows: Sequence[dict]) -> dict[str, list]:
    """Returns the values by which each column is sorted: texts, or numbers without units; "" for empty cells."""
    found = {}
    for head, texts in columns.items():
        if head in TEXTS:
            found[head] = list(texts)
        elif all(head in row for row in rows):  # parameters, multiply-adds: 1200000000, not 1.2 G
            found[head] = ["" if row[head] is None else row[head] for row in rows]
        else:
            found[head] = [text.split()[0] if text else "" for text in texts]
    return found


def link(path: Path, start: Path, text: str) -> Html:
    """Returns a link to a file, relative to the directory of the page, with special characters quoted."""
    address = Path(os.path.relpath(path, start)).as_posix()
    return fill("link", address=urllib.parse.quote(os.fsencode(address)), text=text)


def rung(anchor: str, number: int, row: dict, pictures: Sequence[Picture], videos: Html) -> Html:
    """Returns the details of a rung.

    Args:
        anchor: id of the details; number: of the rung in the table.
        row: of ladder.json.
        videos: see `videos`.
    """
    top1 = {part: ladder_table.percent(metrics["top1"], True) for part, metrics in row["figures"].items()}
    found = [f"{part} {text}".strip() for part, text in top1.items()]
    if of_frames := row.get("segments"):
        names = ("frame accuracy", "edit", "F1@50")
        texts = [(part, x, segments.text("%", of.get(f"{x} %", []))) for part, of in of_frames.items() for x in names]
        found = [f"{part} {x} {value} %".strip() for part, x, value in texts if value]
    found += [f"{row['parameters']:,} parameters"] if row["parameters"] else []
    found += [f"{layer_table.in_giga(row['multiply-adds'])} multiply-adds"] if row["multiply-adds"] else []
    figures = [fill("picture", image=image(x.png, x.caption, "png"), caption=x.caption) for x in pictures]
    return fill(
        "rung",
        anchor=anchor,
        number=number,
        title=", ".join(filter(None, [row["title"], row.get("dial", "")])),
        summary=", ".join(found) or row["note"],
        note=optional("note", text=row["note"]),
        pictures=optional("pictures", figures=figures),
        videos=videos,
    )


def videos(found: Predictions, examples: Sequence[Example], notes: Sequence[str], start: Path) -> Html:
    """Returns the predictions of a rung for videos.

    Args:
        notes: say what is not shown, and why.
        start: directory of the page.
    """
    count = len(found.rows)
    methods = dict.fromkeys((x.stream, x.method) for example in examples for x in example.maps)
    named = [f"{stream} stream: {method}" if stream else method for stream, method in methods]
    scales = "Each row has its own scale." if len(methods) > 1 else ""
    rollout = f"The {ROLLOUT} does not depend on the class." if ("", ROLLOUT) in methods else ""
    return fill(
        "videos",
        who=found.who,
        count=f"{count} video{'s' * (count != 1)}",
        notes=[fill("note", text=note) for note in notes],
        pictures=optional("pictures", figures=list(map(figure, examples))),
        legend=optional("maps", methods=", ".join(named), scales=scales, rollout=rollout),
        files=[link(path, start, f"{path.parent.name}/{path.name}") for path in found.files],
    )


def wide_picture(picture: Picture) -> Html:
    """Returns a picture as wide as the page."""
    return fill("wide_picture", image=image(picture.png, picture.caption, "png"), caption=picture.caption)


def segments_of(
    found: segments.Found, of_classes: Sequence[segments.OfClass], pictures: Sequence[Picture], start: Path
) -> Html:
    """Returns the predictions of a rung that labels frames: pictures, and the table of its classes."""
    columns = segments.class_columns(of_classes, found.unit)
    values = {**sort_values(columns, [{}]), "class": columns["class"]}
    return fill(
        "segments",
        who=found.who,
        count=f"{len(found.videos)} videos",
        pictures=list(map(wide_picture, pictures)),
        table=table(columns, values, {"class": "name"}, [""] * len(of_classes)),
        overlap=f"{100 * segments.OVERLAP:.0f}",
        files=[link(path, start, f"{path.parent.name}/{path.name}") for path in found.files],
    )


def figure(example: Example) -> Html:
    """Returns the prediction for one video with its frames, and a row of maps per stream."""
    row = example.row
    strips = [fill("strip", image=image(example.frames, "frames", "jpeg"))] if example.frames else []
    for stream, method, strip in example.maps:
        strips += [optional("stream", stream=stream), fill("strip", image=image(strip, method, "jpeg"))]
    return fill(
        "example",
        true=row["true"],
        mistake=fill("mistake", predicted=row["predicted"]) if row["true"] != row["predicted"] else "",
        percent=f"{100 * row['score']:.1f}",
        number=row["number"],
        file=Path(row["video"]).name,
        strips=strips,
    )


def image(data: str, alt: str, kind: str) -> Html:
    """Returns an image that the page contains: base64 data, its description, and "png" or "jpeg"."""
    return fill("image", data=data, alt=alt, kind=kind)
