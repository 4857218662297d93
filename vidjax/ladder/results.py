"""Prints the results of several runs as one table.

python -m vidjax.ladder.results runs/a runs/b
"""

import argparse
from pathlib import Path

from vidjax import config as configs

PERCENT = {
    "top1": "top1 %",
    "top5": "top5 %",
    "mAP": "mAP %",
    "top1_within_pairs": "within pairs %",
    "top1_reversed": "reversed %",
}
OF_RUN = {"model", "num_params", "steps", "seconds", "clips_per_second"}  # what vidjax.train adds to the metrics
FILES = ("curves.png", "confusion.png", "confusion.csv", "result.json", "metrics.jsonl")


def table(workdirs: list[Path]) -> str:
    """Returns a Markdown table with one row per run, without empty columns; below it the convention that all share.

    Raises:
        ValueError: if a directory has no result.json, or not that of a run, such as a cross-validation.
    """
    if missing := [str(workdir) for workdir in workdirs if not (workdir / "result.json").exists()]:
        raise ValueError(
            f"No result.json in {', '.join(missing)}: give the work directories of finished runs of vidjax.train."
        )
    results = [configs.read_json(workdir / "result.json") for workdir in workdirs]
    if others := [str(workdir) for workdir, of in zip(workdirs, results, strict=True) if not OF_RUN <= set(of)]:
        raise ValueError(
            f"No result of vidjax.train in {', '.join(others)}: give the work directories of single runs, such as "
            "seed_0/fold_0 of a cross-validation."
        )
    rows = list(map(row, results))
    columns = {"run": [str(workdir) for workdir in workdirs]}
    columns |= {head: [cells[head] for cells in rows] for head in rows[0] if any(cells[head] for cells in rows)}
    common = len({*columns.get("convention", ())}) == 1
    text = f"\n\nConvention: {columns.pop('convention')[0]}." if common else ""
    return markdown(columns) + text


def row(result: dict) -> dict[str, str]:
    """Returns the cells of a run from its result.json, by column; "" for metrics that it lacks."""
    cells = {"model": result["model"], "parameters": f"{result['num_params']:,}"}
    cells |= {head: f"{100 * result[name]:.1f}" if name in result else "" for name, head in PERCENT.items()}
    speed = result["clips_per_second"]
    cells |= {"videos": str(result.get("num_videos", "")), "steps": str(result["steps"])}
    cells |= {"clips/s": f"{speed:.1f}" if speed else "", "minutes": f"{result['seconds'] / 60:.1f}"}
    return cells | {"convention": result.get("convention", "")}


def markdown(columns: dict[str, list[str]]) -> str:
    """Returns a Markdown table from the cells of each column, by head."""
    columns = {head: [cell.replace("|", "\\|") for cell in cells] for head, cells in columns.items()}
    widths = [max(map(len, [head, *cells])) for head, cells in columns.items()]
    rows = [list(columns), ["-" * width for width in widths], *zip(*columns.values(), strict=True)]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def main():
    description = "Prints the results of runs as a Markdown table, and the names of their files."
    parser = argparse.ArgumentParser(prog="vidjax results", description=description)
    parser.add_argument("workdirs", nargs="+", type=Path, metavar="WORKDIR", help="directory of a finished run")
    args = parser.parse_args()
    try:
        print(table(args.workdirs))
    except ValueError as error:
        parser.error(str(error))
    for workdir in args.workdirs:
        print(f"{workdir}: {', '.join(name for name in FILES if (workdir / name).exists())}, checkpoints/")


if __name__ == "__main__":
    main()
