"""The table of a ladder, from the results of its runs: Markdown for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vidjax.analysis import layer_table
from vidjax.ladder import results
from vidjax.ladder import runs as ladder_runs
from vidjax.ladder.costs import Cost
from vidjax.ladder.rungs import Ladder, Rung
from vidjax.ladder.runs import Run

SPEED = {"ms a step": "training step", "forward clips/s": "forward clips/s", "step MiB": "step MiB"}  # of bench step


def write(
    ladder: Ladder, costs: dict[str, Cost], workdir: Path, problems: Mapping[str, str], unfit: Collection[str] = ()
) -> str:
    """Writes ladder.json, ladder.csv and ladder.md; returns the last one.

    Args:
        problems: what there is to say of a rung, why it could not be run to its end, say, by name.
        unfit: names of rungs whose runs are of another config, or made from such: their figures do not count.
    """
    rows = []
    for name, rung in ladder.rungs.items():
        runs = ladder_runs.runs_of(ladder, rung, workdir)
        done = [run for run in runs if name not in unfit and ladder_runs.is_finished(run)]
        rows.append(row(ladder, rung, costs[name], workdir, done, note_of(runs, done, problems.get(name, ""))))
    content = {"title": ladder.title, "parts": parts_of(ladder), "rungs": rows, "chosen": chosen(ladder, rows)}
    content |= {"machines": machines_of(workdir), "published": list(ladder.published)}
    (workdir / "ladder.json").write_text(json.dumps(content, indent=2) + "\n")
    (workdir / "ladder.csv").write_text(as_csv(content))
    (workdir / "ladder.md").write_text(as_markdown(content) + "\n")
    return as_markdown(content)


def note_of(runs: Sequence[Run], done: Sequence[Run], problem: str) -> str:
    """What is missing of a rung and why: by the problem, or by what the runs left that failed, whoever started them."""
    missing = [run for run in runs if run not in done]
    reasons = [run.failure.read_text().strip() for run in missing if run.failure.exists()]
    why = problem or "; ".join(dict.fromkeys(reasons))
    count = f"{len(done)} of {len(runs)} runs" if done and missing else ""
    return ": ".join(filter(None, [count, why])) or ("not run" if missing else "")


def parts_of(ladder: Ladder) -> list[str]:
    """What a rung has figures of: the folds, or "" where there are none."""
    return list(ladder.folds) or [""]


def row(ladder: Ladder, rung: Rung, cost: Cost, workdir: Path, done: Sequence[Run], note: str) -> dict:
    """What is known of a rung: costs, figures of its finished runs by part, speed, and a note on what is missing.

    `runs` are the places of these, and `members` those of the trainings that a fusion or a classifier was made from,
    relative to `workdir`.
    """
    figures = {}
    for part in parts_of(ladder):
        if of_part := [run for run in done if part in ("", run.place.name)]:
            found = ladder_runs.figures_of(of_part)
            count = found.pop("num_videos")
            figures[part] = {name: ladder_runs.summarised(values, count) for name, values in found.items()}
            figures[part] |= {"seeds": len(found["top1"]), "num_videos": count}
    described = {name: getattr(rung, name) for name in ("name", "title", "group", "sees_order")}
    described |= {"parameters": cost.num_params, "multiply-adds": cost.multiply_adds}
    described |= {"multiply-adds a video": cost.of_video, "on_features": cost.on_features}
    speed = speed_of(ladder, rung, workdir) if done else {}
    described |= {"figures": figures, "speed": speed, "seconds": seconds_of(done), "note": note}
    made_from = [place for run in done for place in run.needs if not rung.config]
    runs, members = ([str(x.relative_to(workdir)) for x in places] for places in ([r.place for r in done], made_from))
    return {**described, "runs": runs, "members": members}


def seconds_of(runs: Sequence[Run]) -> float:
    """How long the training of these runs took in all, each with its validation and evaluation."""
    paths = [path for run in runs for path in (run.place / "result.json", *run.place.glob("seed_*/fold_*/result.json"))]
    return sum(json.loads(path.read_text()).get("seconds", 0.0) for path in paths)


def speed_of(ladder: Ladder, rung: Rung, workdir: Path) -> dict:
    """The figures of `SPEED` that are known; those of a fusion from its members', which run one after the other."""
    if rung.fuses or rung.features in ladder.rungs:
        members = [speed_of(ladder, ladder.rungs[name], workdir) for name in rung.fuses or [rung.features]]
        if not all(members):
            return {}
        seconds_a_clip = sum(1 / member["forward clips/s"] for member in members)
        return {"forward clips/s": 1 / seconds_a_clip}
    path = ladder_runs.runs_of(ladder, rung, workdir)[0].place / "speed.json"
    if not path.exists():
        return {}
    measured = json.loads(path.read_text())["step"]
    found = {name: measured[key] for name, key in SPEED.items()} | {"batch size": measured["batch size"]}
    return found | {"ms a step": found["ms a step"]["median"]}


def machines_of(workdir: Path) -> list[str]:
    """On what the speeds were measured, in words."""
    found = []
    for path in sorted(workdir.glob("*/*/speed.json")):
        machine = json.loads(path.read_text())["machine"]
        found.append(f"{machine['cores']} cores of {machine['processor']}, backend {machine['backend']}")
    return list(dict.fromkeys(found))


def chosen(ladder: Ladder, rows: Sequence[dict]) -> dict:
    """The rung with the best top1 on the folds to choose on, which alone is then to be reported on the others."""
    candidates = [r for r in rows if ladder.choose_on in r["figures"]]
    if not ladder.choose_on or not candidates:
        return {}
    best = max(candidates, key=lambda r: r["figures"][ladder.choose_on]["top1"]["mean"])
    return {"name": best["name"], "title": best["title"], "on": ladder.choose_on, "figures": best["figures"]}


# --------------------------------------------------------------------------------------------------------------- texts


def percent(figure: dict | None, interval: bool = False) -> str:
    """`98.5 ± 0.4 [96.9, 99.3]`: mean, deviation over seeds where there are some, 95 % interval."""
    if not figure:
        return ""
    text = f"{100 * figure['mean']:.1f}"
    if figure["deviation"] is not None:
        text += f" ± {100 * figure['deviation']:.1f}"
    low, high = (100 * x for x in figure["interval"])
    return text + (f" [{low:.1f}, {high:.1f}]" if interval else "")


def columns(content: dict) -> dict[str, list[str]]:
    """The table's columns as texts, by their heads; those that no rung has are left out."""
    rows = content["rungs"]
    found = {"rung": [r["title"] for r in rows]}
    heads = {"top1": "top1 % [95 %]", "top1_within_pairs": "within pairs %", "top1_reversed": "reversed %"}
    for part in content["parts"]:
        for name, head in heads.items():
            figures = [r["figures"].get(part, {}).get(name) for r in rows]
            found[f"{part}, {head}" if part else head] = [percent(figure, name == "top1") for figure in figures]
    found["parameters"] = [f"{r['parameters']:,}" if r["parameters"] else "" for r in rows]
    found["multiply-adds"] = [
        layer_table.in_giga(r["multiply-adds"]) + " on features" * r["on_features"] if r["multiply-adds"] else ""
        for r in rows
    ]
    for name in SPEED:
        values = [r["speed"].get(name) for r in rows]
        found[name] = ["" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in values]
    found["group"] = [r["group"] for r in rows]
    found["minutes"] = [f"{r['seconds'] / 60:.1f}" if r["seconds"] else "" for r in rows]
    found["note"] = [r["note"] for r in rows]
    return {head: cells for head, cells in found.items() if any(cells)}


def as_markdown(content: dict) -> str:
    """Title, table, what was chosen, and figures of others."""
    lines = [content["title"], "", results.markdown(columns(content))]
    hours = sum(row["seconds"] for row in content["rungs"]) / 3600
    lines += ["", f"Training took {hours:.1f} hours in all. " + speed_text(content)]
    if text := chosen_text(content):
        lines += ["", text]
    if content["published"]:
        names = [name for name in content["published"][0] if name not in ("method", "source")]
        table = {"published": [p["method"] for p in content["published"]]}
        table |= {f"{name} %": [str(p[name] or "") for p in content["published"]] for name in names}
        table["source"] = [p["source"] for p in content["published"]]
        lines += ["", results.markdown(table)]
    return "\n".join(lines)


def chosen_text(content: dict) -> str:
    """Which rung was chosen, on what, and its figures elsewhere; "" where none was."""
    if not (best := content["chosen"]):
        return ""
    others = {part: figure["top1"] for part, figure in best["figures"].items() if part != best["on"]}
    told = ", ".join(f"{part} {percent(figure, True)}" for part, figure in others.items())
    there = percent(best["figures"][best["on"]]["top1"], True)
    return f"Chosen on {best['on']}: {best['title']}, {there}." + (f" Reported: {told}." if told else "")


def speed_text(content: dict) -> str:
    """On what the speeds were measured; "" where none were."""
    if not content["machines"]:
        return ""
    machines = "; ".join(content["machines"])
    return f"Speed of batches in memory: {machines}. step MiB: of the compiled training step, on a device."


def as_csv(content: dict) -> str:
    """A line a rung, numbers as they are: shares from 0 to 1, milliseconds, MiB."""
    lines = []
    for r in content["rungs"]:
        line = {name: r[name] for name in ("name", "title", "group", "sees_order", "parameters", "multiply-adds")}
        line |= {name: r[name] for name in ("multiply-adds a video", "on_features")}
        for part in content["parts"]:
            figures = r["figures"].get(part, {})
            line |= {f"{name} {part}".strip(): figures.get(name) for name in ("seeds", "num_videos")}
            for name in ladder_runs.FIGURES:
                figure, head = figures.get(name) or {}, f"{name} {part}".strip()
                low, high = figure.get("interval", (None, None))
                line |= {head: figure.get("mean"), f"{head} deviation": figure.get("deviation")}
                line |= {f"{head} low": low, f"{head} high": high}
        line |= {name: r["speed"].get(name) for name in (*SPEED, "batch size")}
        line |= {"seconds": r["seconds"], "note": r["note"]}
        lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
