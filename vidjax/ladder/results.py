"""The results of several runs as one table.

python -m vidjax.ladder.results runs/a runs/b
"""

import argparse
import json
from pathlib import Path

COLUMNS = {
    "parameters": lambda r: f"{r['num_params']:,}",
    "top1 %": lambda r: _percent(r, "top1"),
    "top5 %": lambda r: _percent(r, "top5"),
    "mAP %": lambda r: _percent(r, "mAP"),
    "within pairs %": lambda r: _percent(r, "top1_within_pairs"),
    "reversed %": lambda r: _percent(r, "top1_reversed"),
    "videos": lambda r: str(r["num_videos"]),
    "steps": lambda r: str(r["steps"]),
    "clips/s": lambda r: f"{r['clips_per_second']:.1f}" if r["clips_per_second"] else "",
    "minutes": lambda r: f"{r['seconds'] / 60:.1f}",
}


def _percent(result: dict, name: str) -> str:
    return f"{100 * result[name]:.1f}" if name in result else ""


def table(workdirs: list[Path]) -> str:
    """A Markdown table, one row a run; columns that no run has are left out.

    Raises:
        ValueError: where a directory holds no finished run.
    """
    if missing := [str(workdir) for workdir in workdirs if not (workdir / "result.json").exists()]:
        raise ValueError(f"No result.json in {', '.join(missing)}: not a work directory, or its run is not finished.")
    results = [json.loads((workdir / "result.json").read_text()) for workdir in workdirs]
    columns = {name: [column(result) for result in results] for name, column in COLUMNS.items()}
    columns = {"run": [str(workdir) for workdir in workdirs], "model": [r["model"] for r in results]} | {
        name: values for name, values in columns.items() if any(values)
    }
    return markdown(columns)


def markdown(columns: dict[str, list[str]]) -> str:
    """A Markdown table of the cells of each column, by their heads."""
    columns = {name: [value.replace("|", "\\|") for value in values] for name, values in columns.items()}
    widths = [max(map(len, [name, *values])) for name, values in columns.items()]
    rows = [list(columns), ["-" * width for width in widths], *zip(*columns.values(), strict=True)]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def main():
    parser = argparse.ArgumentParser(
        description="Prints the results of runs as a Markdown table, and the files they wrote."
    )
    parser.add_argument("workdirs", nargs="+", type=Path, metavar="WORKDIR")
    args = parser.parse_args()
    try:
        print(table(args.workdirs))
    except ValueError as error:
        parser.error(str(error))
    for workdir in args.workdirs:
        names = [
            name
            for name in ("curves.png", "confusion.png", "confusion.csv", "result.json", "metrics.jsonl")
            if (workdir / name).exists()
        ]
        print(f"{workdir}: {', '.join(names)}, checkpoints/")


if __name__ == "__main__":
    main()
