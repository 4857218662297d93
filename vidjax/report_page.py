"""The page of `vidjax.report` as HTML: one file, without any address in it that is to be fetched."""

import html
import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from vidjax import ladder_table, summary

STYLE = """
:root { --line: #d9dce1; --soft: #f4f5f7; --text: #1c2430; --quiet: #5b6675; --blue: #1558b0; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem; color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
a { color: var(--blue); } .quiet { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: .88rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { background: var(--soft); text-align: right; } th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--blue); } th[aria-sort] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
.name { text-align: left; position: sticky; left: 0; background: #fff; } th.name { background: var(--soft); }
td.text { text-align: left; white-space: normal; min-width: 9rem; }
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
    content: dict, ids: Sequence[str], files: Sequence[Sequence[Path]], chart: str, details: Sequence[str], start: Path
) -> str:
    """The part of a ladder: its table, chart and details.

    Args:
        content: of ladder.json.
        ids: of the details of each rung; files: that its figures are from; start: the directory of the page.
        chart: SVG or ""; details: HTML, one a rung.
    """
    lines = [f"<h1>{html.escape(content['title'])}</h1>", table(content, ids, files, start)]
    lines.append('<p class="quiet">95 %: what the number of videos leaves open (Wilson). ± : deviation over seeds. ')
    if any(not row["sees_order"] for row in content["rungs"]):
        lines.append("Grey rungs are blind to the order of frames. ")
    if any(row["on_features"] for row in content["rungs"]):
        lines.append("The cost of stored features is in no column. ")
    lines.append(html.escape(ladder_table.speed_text(content)))
    lines.append(" The number of a rung leads to what it said, its figures to the files that they are from.</p>")
    if text := ladder_table.chosen_text(content):
        lines.append(f"<p><strong>{html.escape(text)}</strong></p>")
    if content["published"]:
        lines += ["<h2>Published by others</h2>", published(content["published"])]
    if chart:
        lines += ["<h2>Accuracy against compute</h2>", f"<figure>{chart}</figure>"]
    return "\n".join([*lines, "<h2>Rungs</h2>", *details])


def table(content: dict, ids: Sequence[str], files: Sequence[Sequence[Path]], start: Path) -> str:
    """The table of rungs; the last column leads to the files that the figures are from."""
    columns = ladder_table.columns(content)
    heads = ["#", *columns, "from"]
    values = sort_values(content, list(columns))
    rows = []
    for i, row in enumerate(content["rungs"]):
        kind = "" if row["sees_order"] else ' class="blind"'
        cells = [f'<td><a href="#{ids[i]}">{i + 1}</a></td>']
        for head, texts in columns.items():
            name = ' class="name"' if head == "rung" else ' class="text"' if head in ("note", "group") else ""
            cells.append(f'<td{name} data-value="{values[head][i]}">{html.escape(texts[i])}</td>')
        links = [link(path, start, path.parent.name + " speed" * (path.stem == "speed")) for path in files[i]]
        rows.append(f"<tr{kind}>{''.join(cells)}<td class=\"text\">{' '.join(links)}</td></tr>")
    names = [' class="name"' if head == "rung" else "" for head in heads]
    head = "".join(f"<th{n}><button>{html.escape(h)}</button></th>" for n, h in zip(names, heads, strict=True))
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="sortable">{content}</table></div>'


def sort_values(content: dict, heads: Sequence[str]) -> dict[str, list]:
    """What the rows are sorted by in each column: numbers as they are, and texts."""
    found = {}
    for head in heads:
        texts = ladder_table.columns(content)[head]
        if head in ("rung", "note", "group"):
            found[head] = [html.escape(text) for text in texts]
        elif head in ("parameters", "multiply-adds"):
            found[head] = ["" if row[head] is None else row[head] for row in content["rungs"]]
        else:
            found[head] = [text.split()[0] if text else "" for text in texts]
    return found


def link(path: Path, start: Path, text: str) -> str:
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


def details(name: str, number: int, entry, curves: str, confusion: str, examples: Sequence) -> str:
    """What there is of one rung, with an id; `entry` and `examples` as of `report`, pictures as base64."""
    row, lines = entry.row, []
    figures = [
        f"{part} {ladder_table.percent(found['top1'], True)}".strip() for part, found in row["figures"].items()
    ]
    costs = [f"{row['parameters']:,} parameters"] if row["parameters"] else []
    costs += [f"{summary.in_giga(row['multiply-adds'])} multiply-adds"] if row["multiply-adds"] else []
    told = ", ".join([*figures, *costs]) or row["note"]
    if curves or confusion:
        first = entry.runs[0] if entry.runs else ""
        pictures = [picture(curves, f"loss and hit@1 of {first}", "png")] if curves else []
        pictures += [picture(confusion, "confusion, of all runs", "png")] if confusion else []
        lines.append(f'<div class="pictures">{"".join(pictures)}</div>')
    if examples:
        lines.append(f"<h3>What {html.escape(str(examples[0].run))} said, the most confident mistakes first</h3>")
    shown = []
    for example in examples:
        said = example.said
        is_wrong = said["true"] != said["predicted"]
        taken_for = f', taken for <span class="wrong">{html.escape(said["predicted"])}</span>' if is_wrong else ""
        text = f"{html.escape(said['true'])}{taken_for} ({100 * said['score']:.1f} %)"
        text += f' <span class="quiet">number {said["number"]}, {html.escape(Path(said["video"]).name)}</span>'
        pictures = [jpeg(x, alt) for x, alt in ((example.frames, "frames"), (example.heat, "where it looked")) if x]
        shown.append(f"<figure><figcaption>{text}</figcaption>{'<br>'.join(pictures)}</figure>")
    lines.append(f'<div class="pictures">{"".join(shown)}</div>')
    if layers := [example.layer for example in examples if example.heat]:
        text = "Second rows: what speaks for the class it named, in the middle clip, blue little to red much"
        lines.append(f'<p class="quiet">{text} (Grad-CAM, {html.escape(layers[0])}).</p>')
    note = f'<p class="wrong">{html.escape(row["note"])}</p>' if row["note"] else ""
    head = f"{number}. {html.escape(row['title'])} <span class=\"quiet\">{html.escape(told)}</span>"
    return f'<details id="{name}"><summary>{head}</summary>{note}{"".join(lines)}</details>'


def picture(data: str, caption: str, kind: str) -> str:
    text = html.escape(caption)
    return f'<figure><img src="data:image/{kind};base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def jpeg(data: str, alt: str) -> str:
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}">'
