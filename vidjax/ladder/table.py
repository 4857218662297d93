"""Writes the table of a ladder from the results of its runs: Markdown for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vidjax import output_paths
from vidjax.analysis import layer_table
from vidjax.ladder import profiles, results
from vidjax.ladder import runs as ladder_runs
from vidjax.ladder.costs import Cost
from vidjax.ladder.rungs import Ladder, Rung
from vidjax.ladder.runs import Run

SPEED = {"ms a step": "training step", "forward clips/s": "forward clips/s", "step MiB": "step MiB"}  # of `bench step`

# ------------------------------------------------------------------------------------------------------ runs -> content


def write(
    ladder: Ladder, costs: dict[str, Cost], workdir: Path, problems: Mapping[str, str], stale: Collection[str] = ()
) -> str:
    """Writes ladder.json, ladder.csv and ladder.md; returns the text of ladder.md.

    Args:
        problems: notes on rungs, such as why they could not be run, by name.
        stale: names of rungs whose runs do not count, see `runs.stale`.
    """
    rows = []
    for name, rung in ladder.rungs.items():
        runs = ladder_runs.runs_of(ladder, rung, workdir)
        done = [run for run in runs if name not in stale and ladder_runs.is_finished(run)]
        rows.append(row(ladder, rung, costs[name], workdir, done, note_of(runs, done, problems.get(name, ""))))
    content = {"title": ladder.title, "parts": parts_of(ladder), "rungs": rows, "chosen": chosen(ladder, rows)}
    content |= {"machines": machines_of(workdir), "published": list(ladder.published)}
    # Several commands share a workdir, and may end at the same time
    output_paths.write_whole(workdir / "ladder.json", json.dumps(content, indent=2) + "\n")
    (workdir / "ladder.csv").write_text(as_csv(content))
    (workdir / "ladder.md").write_text(as_markdown(content) + "\n")
    return as_markdown(content)


def note_of(runs: Sequence[Run], done: Sequence[Run], problem: str) -> str:
    """Returns which runs of a rung are missing and why: `problem`, or the reasons that failed runs have left."""
    missing = [run for run in runs if run not in done]
    reasons = [run.failure.read_text().strip() for run in missing if run.failure.exists()]
    why = problem or "; ".join(dict.fromkeys(reasons))
    count = f"{len(done)} of {len(runs)} runs" if done and missing else ""
    return ": ".join(filter(None, [count, why])) or ("not run" if missing else "")


def parts_of(ladder: Ladder) -> list[str]:
    """Returns the names of the parts for which rungs have separate metrics: the folds, or [""] without folds."""
    return list(ladder.folds) or [""]


def row(ladder: Ladder, rung: Rung, cost: Cost, workdir: Path, done: Sequence[Run], note: str) -> dict:
    """Returns the row of a rung for ladder.json: its costs, the metrics of finished runs by part, its speed and a note.

    `runs` lists the directories of the finished runs, and `members` those of the runs that a fusion or a classifier
    started from, relative to `workdir`.
    """
    figures = {}
    for part in parts_of(ladder):
        if of_part := [run for run in done if part in ("", run.place.name)]:
            found = ladder_runs.metrics_of(of_part)
            count = found.pop("num_videos")
            figures[part] = {name: ladder_runs.summarise(values, count) for name, values in found.items()}
            figures[part] |= {"seeds": len(found["top1"]), "num_videos": count}
    members = [place for run in done for place in run.needs if not rung.config]
    return {
        **{name: getattr(rung, name) for name in ("name", "title", "group", "sees_order", "dial")},
        "parameters": cost.num_params,
        "multiply-adds": cost.multiply_adds,
        "multiply-adds a video": cost.of_video,
        "on_features": cost.on_features,
        "figures": figures,
        "profile": profiles.profile_of(done) if rung.dial else {},
        "speed": speed_of(ladder, rung, workdir) if done else {},
        "seconds": seconds_of(done),
        "conventions": conventions_of(done),
        "note": note,
        "runs": [str(run.place.relative_to(workdir)) for run in done],
        "members": [str(place.relative_to(workdir)) for place in members],
    }


def seconds_of(runs: Sequence[Run]) -> float:
    """Returns the seconds that the training of these runs took, with validation and evaluation."""
    paths = [path for run in runs for path in (run.place / "result.json", *run.place.glob("seed_*/fold_*/result.json"))]
    return sum(json.loads(path.read_text()).get("seconds", 0.0) for path in paths)


def conventions_of(runs: Sequence[Run]) -> list[str]:
    """Returns the conventions of the runs' figures, see `eval_protocols`; several make them hard to compare."""
    paths = [path for run in runs for path in (run.place / "result.json", *run.place.glob("seed_*/fold_*/result.json"))]
    found = [json.loads(path.read_text()).get("convention", "") for path in paths]
    return sorted({text for text in found if text})


def speed_of(ladder: Ladder, rung: Rung, workdir: Path) -> dict:
    """Returns the measured `SPEED` of a rung, or {}. The members of a fusion count as running one after the other."""
    if rung.fuses or rung.features in ladder.rungs:
        members = [speed_of(ladder, ladder.rungs[name], workdir) for name in rung.fuses or [rung.features]]
        return {"forward clips/s": 1 / sum(1 / member["forward clips/s"] for member in members)} if all(members) else {}
    path = ladder_runs.runs_of(ladder, rung, workdir)[0].place / "speed.json"
    if not path.exists():
        return {}
    measured = json.loads(path.read_text())["step"]
    found = {name: measured[key] for name, key in SPEED.items()} | {"batch size": measured["batch size"]}
    return found | {"ms a step": found["ms a step"]["median"]}


def machines_of(workdir: Path) -> list[str]:
    """Returns descriptions of the machines on which the speeds were measured."""
    found = []
    for path in sorted(workdir.glob("*/*/speed.json")):
        machine = json.loads(path.read_text())["machine"]
        found.append(f"{machine['cores']} cores of {machine['processor']}, backend {machine['backend']}")
    return list(dict.fromkeys(found))


def chosen(ladder: Ladder, rows: Sequence[dict]) -> dict:
    """Returns the rung with the best top1 on the folds `choose_on`; {} without results or `choose_on`."""
    candidates = [r for r in rows if ladder.choose_on in r["figures"]]
    if not ladder.choose_on or not candidates:
        return {}
    best = max(candidates, key=lambda r: r["figures"][ladder.choose_on]["top1"]["mean"])
    return {"name": best["name"], "title": best["title"], "on": ladder.choose_on, "figures": best["figures"]}


# ----------------------------------------------------------------------------------------------------- content -> texts


def percent(summary: dict | None, interval: bool = False) -> str:
    """Formats a mean, its deviation over seeds if known, and the 95 % interval: `98.5 ± 0.4 [96.9, 99.3]`."""
    if not summary:
        return ""
    text = f"{100 * summary['mean']:.1f}"
    if summary["deviation"] is not None:
        text += f" ± {100 * summary['deviation']:.1f}"
    low, high = (100 * x for x in summary["interval"])
    return text + (f" [{low:.1f}, {high:.1f}]" if interval else "")


def multiply_adds_text(number: int | None, on_features: bool) -> str:
    """Formats multiply-adds; "" if unknown."""
    return layer_table.in_giga(number) + " on features" * on_features if number else ""


def columns(content: dict) -> dict[str, list[str]]:
    """Returns the cells of the table's columns as texts, by head, without empty columns."""
    rows = content["rungs"]
    found = {"rung": [r["title"] for r in rows], "dial": [r.get("dial", "") for r in rows]}
    heads = {"top1": "top1 % [95 %]", "top1_within_pairs": "within pairs %", "top1_reversed": "reversed %"}
    for part in content["parts"]:
        for name, head in heads.items():
            summaries = [r["figures"].get(part, {}).get(name) for r in rows]
            found[f"{part}, {head}" if part else head] = [percent(summary, name == "top1") for summary in summaries]
    found["parameters"] = [f"{r['parameters']:,}" if r["parameters"] else "" for r in rows]
    found["multiply-adds"] = [multiply_adds_text(r["multiply-adds"], r["on_features"]) for r in rows]
    for name in SPEED:
        values = [r["speed"].get(name) for r in rows]
        found[name] = ["" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in values]
    found["group"] = [r["group"] for r in rows]
    found["minutes"] = [f"{r['seconds'] / 60:.1f}" if r["seconds"] else "" for r in rows]
    found["note"] = [r["note"] for r in rows]
    return {head: cells for head, cells in found.items() if any(cells)}


def as_markdown(content: dict) -> str:
    """Returns the text of ladder.md: title, table, times, the chosen rung and published results."""
    lines = [content["title"], "", results.markdown(columns(content))]
    hours = sum(row["seconds"] for row in content["rungs"]) / 3600
    lines += ["", f"Training took {hours:.1f} hours in all. " + speed_text(content)]
    if text := conventions_text(content):
        lines += ["", text]
    if text := chosen_text(content):
        lines += ["", text]
    if published := content["published"]:
        names = [name for name in published[0] if name not in ("method", "source")]
        table = {"published": [p["method"] for p in published]}
        table |= {f"{name} %": [str(p[name] or "") for p in published] for name in names}
        lines += ["", results.markdown(table | {"source": [p["source"] for p in published]})]
    return "\n".join(lines)


def conventions_text(content: dict) -> str:
    """Says how the figures were made: one convention for all, or which rungs have which; "" if none is known."""
    by_convention = {}
    for row in content["rungs"]:
        for text in row.get("conventions", ()):
            by_convention.setdefault(text, []).append(row["name"])
    if len(by_convention) < 2:
        return "".join(f"Convention: {text}." for text in by_convention)
    return "Conventions: " + "; ".join(f"{text} ({', '.join(names)})" for text, names in by_convention.items()) + "."


def chosen_text(content: dict) -> str:
    """Names the chosen rung and its metrics on the other folds; "" without one."""
    if not (best := content["chosen"]):
        return ""
    top1 = {part: percent(metrics["top1"], True) for part, metrics in best["figures"].items()}
    reported = ", ".join(f"{part} {text}" for part, text in top1.items() if part != best["on"])
    return f"Chosen on {best['on']}: {best['title']}, {top1[best['on']]}." + f" Reported: {reported}." * bool(reported)


def speed_text(content: dict) -> str:
    """Names the machines on which the speeds were measured; "" without any."""
    if not content["machines"]:
        return ""
    machines = "; ".join(content["machines"])
    return f"Speed of batches in memory: {machines}. step MiB: of the compiled training step, on a device."


def as_csv(content: dict) -> str:
    """Returns the table as CSV, one line per rung, in raw units: shares from 0 to 1, milliseconds, MiB."""
    lines = []
    for r in content["rungs"]:
        line = {name: r[name] for name in ("name", "title", "group", "sees_order", "dial", "parameters")}
        line |= {name: r[name] for name in ("multiply-adds", "multiply-adds a video", "on_features")}
        for part in content["parts"]:
            metrics = r["figures"].get(part, {})
            line |= {f"{name} {part}".strip(): metrics.get(name) for name in ("seeds", "num_videos")}
            for name in ladder_runs.METRICS:
                summary, head = metrics.get(name) or {}, f"{name} {part}".strip()
                low, high = summary.get("interval", (None, None))
                line |= {head: summary.get("mean"), f"{head} deviation": summary.get("deviation")}
                line |= {f"{head} low": low, f"{head} high": high}
        line |= {name: r["speed"].get(name) for name in (*SPEED, "batch size")}
        lines.append(line | {"seconds": r["seconds"], "note": r["note"]})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
