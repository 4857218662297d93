"""The page of `vidjax.report` as HTML: one file, without any address in it that is to be fetched."""

import html
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidjax.analysis import layer_table
from vidjax.ladder import table as ladder_table
from vidjax.report.examples import Example, Said

STYLE = """
:root { --line: #d9dce1; --soft: #f4f5f7; --text: #1c2430; --quiet: #5b6675; --blue: #1558b0; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1, h2, h3, summary, figcaption, p { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
a { color: var(--blue); } .quiet { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { background: var(--soft); text-align: right; } th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--blue); } th[aria-sort] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
.name { text-align: left; position: sticky; left: 0; background: #fff; } th.name { background: var(--soft); }
td.text { text-align: left; white-space: normal; min-width: 9rem; } td.links { text-align: left; }
.blind { color: var(--quiet); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; font-weight: 600; } summary .quiet { font-weight: 400; }
img { max-width: 100%; height: auto; } svg { max-width: 100%; height: auto; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
figure { margin: .6rem 0; } figcaption { font-size: .88rem; } .wrong { color: #a3231b; }
@media (max-width: 40rem) { body { padding: .6rem; } .name { min-width: 8.5rem; white-space: normal; } }
"""
SCRIPT = """
const open = () => { const x = document.getElementById(location.hash.slice(1)); if (x) x.open = true; };
addEventListener("hashchange", open); open();
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button, column) => button.addEventListener("click", () => {
    const head = button.parentElement, up = head.getAttribute("aria-sort") === "descending";
    table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? order : -order;
    }).forEach(row => body.append(row));
  }));
}
"""


class Picture(NamedTuple):
    """A PNG as base64, and what it is of."""

    png: str
    caption: str


def page(title: str, sections: Sequence[str]) -> str:
    """The whole page."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{"".join(sections)}
<script>{SCRIPT}</script>
</body>
</html>
"""


def section(
    content: dict,
    ids: Sequence[str],
    files: Sequence[Mapping[Path, str]],
    charts: Sequence[str],
    details: Sequence[str],
    start: Path,
) -> str:
    """The part of a ladder: its table, charts and details.

    Args:
        content: of ladder.json.
        ids: of the details of each rung; files: that its figures are from, see `report.entries.files_of`.
        charts: SVG; details: HTML, one a rung.
        start: the directory of the page.
    """
    lines = [f"<h1>{html.escape(content['title'])}</h1>", table(content, ids, files, start)]
    lines.append('<p class="quiet">95 %: what the number of videos leaves open (Wilson). ± : deviation over seeds. ')
    if any(not row["sees_order"] for row in content["rungs"]):
        lines.append("Grey rungs are blind to the order of frames. ")
    if any(row["on_features"] for row in content["rungs"]):
        lines.append("The cost of stored features is in no column. ")
    lines.append(html.escape(ladder_table.speed_text(content)))
    lines.append(" The number of a rung leads to what it said, the last column to the files of its numbers. ")
    lines.append(html.escape(sources_text(content["rungs"])) + "</p>")
    if text := ladder_table.chosen_text(content):
        lines.append(f"<p><strong>{html.escape(text)}</strong></p>")
    if content["published"]:
        lines += ["<h2>Published by others</h2>", published(content["published"])]
    if charts:
        lines += ["<h2>Accuracy against compute</h2>", *(f"<figure>{chart}</figure>" for chart in charts)]
    return "\n".join([*lines, "<h2>Rungs</h2>", *details])


def sources_text(rows: Sequence[dict]) -> str:
    """From which files the numbers of the table are."""
    text = "Shares and minutes are from result.json (minutes of a cross-validation from those of its folds)"
    if any(row["parameters"] or row["multiply-adds"] for row in rows):
        text += "; parameters and multiply-adds are computed from config.json, of fusions summed over their members"
    if any(row["speed"] for row in rows):
        text += "; speed is from speed.json, of a fusion from those of its members, which run one after the other"
    return text + "."


def table(content: dict, ids: Sequence[str], files: Sequence[Mapping[Path, str]], start: Path) -> str:
    """The table of rungs; the last column leads to the files that the figures are from."""
    columns = ladder_table.columns(content)
    heads = ["#", *columns, "from"]
    values = sort_values(columns, content["rungs"])
    rows = []
    for i, row in enumerate(content["rungs"]):
        kind = "" if row["sees_order"] else ' class="blind"'
        cells = [f'<td><a href="#{ids[i]}">{i + 1}</a></td>']
        for head, texts in columns.items():
            name = ' class="name"' if head == "rung" else ' class="text"' if head in ("note", "group") else ""
            cells.append(f'<td{name} data-value="{values[head][i]}">{html.escape(texts[i])}</td>')
        links = [link(path, start, text) for path, text in files[i].items()]
        rows.append(f'<tr{kind}>{"".join(cells)}<td class="links">{" ".join(links)}</td></tr>')
    names = [' class="name"' if head == "rung" else "" for head in heads]
    head = "".join(f"<th{n}><button>{html.escape(h)}</button></th>" for n, h in zip(names, heads, strict=True))
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="sortable">{content}</table></div>'


def sort_values(columns: Mapping[str, Sequence[str]], rows: Sequence[dict]) -> dict[str, list]:
    """What the rows are sorted by in each of `ladder.table.columns`: numbers as they are, and texts, for attributes."""
    found = {}
    for head, texts in columns.items():
        if head in ("rung", "note", "group"):
            found[head] = [html.escape(text) for text in texts]
        elif all(head in row for row in rows):  # parameters, multiply-adds: not 1.2 G
            found[head] = ["" if row[head] is None else row[head] for row in rows]
        else:
            found[head] = [text.split()[0] if text else "" for text in texts]
    return found


def link(path: Path, start: Path, text: str) -> str:
    """A link to a file as HTML, relative to the directory of the page, with what is no letter of an address quoted."""
    address = urllib.parse.quote(Path(os.path.relpath(path, start)).as_posix())
    return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'


def published(rows: Sequence[dict]) -> str:
    """Figures of others, with their sources."""
    heads = list(rows[0])
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="text">{html.escape(str(row[name] or ""))}</td>' for name in heads) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def details(name: str, number: int, row: dict, pictures: Sequence[Picture], videos: str) -> str:
    """What there is of one rung: a row of ladder.json, pictures, and HTML of what it said of videos; with an id."""
    top1 = {part: ladder_table.percent(figures["top1"], True) for part, figures in row["figures"].items()}
    found = [f"{part} {figure}".strip() for part, figure in top1.items()]
    found += [f"{row['parameters']:,} parameters"] if row["parameters"] else []
    found += [f"{layer_table.in_giga(row['multiply-adds'])} multiply-adds"] if row["multiply-adds"] else []
    told = html.escape(", ".join(found) or row["note"])
    head = f'{number}. {html.escape(row["title"])} <span class="quiet">{told}</span>'
    note = f'<p class="wrong">{html.escape(row["note"])}</p>' if row["note"] else ""
    shown = "".join(
        f"<figure>{image(picture.png, picture.caption, 'png')}<figcaption>{html.escape(picture.caption)}</figcaption>"
        "</figure>"
        for picture in pictures
    )
    shown = f'<div class="pictures">{shown}</div>' if shown else ""
    return f'<details id="{name}"><summary>{head}</summary>{note}{shown}{videos}</details>'


def videos(said: Said, examples: Sequence[Example], notes: Sequence[str], start: Path) -> str:
    """What a rung said of videos; `notes` say what is not shown, and `start` is the directory of the page."""
    count = len(said.rows)
    who = html.escape(f"What {said.who} said of {count} video{'s' * (count != 1)}")
    lines = [f"<h3>{who}, the most confident mistakes first</h3>"]
    lines += [f'<p class="wrong">{html.escape(note)}</p>' for note in notes]
    if examples:
        lines.append(f'<div class="pictures">{"".join(map(as_figure, examples))}</div>')
    if layers := {x.stream: x.layer for example in examples for x in example.maps}:
        where = ", ".join(f"{stream} stream: {layer}" if stream else layer for stream, layer in layers.items())
        text = f"""Rows of colour: what speaks for the class it named, in the middle clip, blue little to red much
        (Grad-CAM, {where}){". Each stream has a scale of its own" if len(layers) > 1 else ""}. In grey: frames on
        which what it said does not depend, by the gradient."""
        lines.append(f'<p class="quiet">{html.escape(" ".join(text.split()))}</p>')
    files = [link(path, start, f"{path.parent.name}/{path.name}") for path in said.files]
    return "".join([*lines, f'<p class="quiet">From {", ".join(files)}.</p>'])


def as_figure(example: Example) -> str:
    """What was said of one video, and below it the frames and the maps, each row with the name of its stream."""
    said = example.said
    is_wrong = said["true"] != said["predicted"]
    taken_for = f', taken for <span class="wrong">{html.escape(said["predicted"])}</span>' if is_wrong else ""
    text = f"{html.escape(said['true'])}{taken_for} ({100 * said['score']:.1f} %)"
    text += f' <span class="quiet">number {said["number"]}, {html.escape(Path(said["video"]).name)}</span>'
    rows = [image(example.frames, "frames", "jpeg")] if example.frames else []
    for stream, _, strip in example.maps:
        named = f'<span class="quiet">{html.escape(stream)} stream</span><br>' if stream else ""
        rows.append(named + image(strip, f"where {f'its {stream} stream' if stream else 'it'} looked", "jpeg"))
    return f"<figure><figcaption>{text}</figcaption>{'<br>'.join(rows)}</figure>"


def image(data: str, alt: str, kind: str) -> str:
    """An image within the page: base64, its description, and "png" or "jpeg"."""
    return f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(alt)}">'
