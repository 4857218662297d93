"""Executes the notebooks' sources and writes them with their outputs: 01_frame_features.py -> 01_frame_features.ipynb.

    pip install -e '.[notebooks]'
    python docs/notebooks/build.py [01_frame_features ...]

The sources are scripts in Jupytext's percent format: a line `# %%` begins a cell, `# %% [markdown]` one of text.
Progress bars and warnings (stderr) are left out of the outputs, and figures are rounded to 32 levels. Files that a
notebook makes go to a temporary directory.
"""

import argparse
import base64
import io
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image  # matplotlib needs it, too

HERE = Path(__file__).parent
MOST_BYTES = 400_000
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:tmp|work|root|home|Users|usr)/")


class Cell(NamedTuple):
    """A cell of a notebook: its kind, "code" or "markdown", its text, and its tags."""

    kind: str
    source: str
    tags: tuple[str, ...]


def sources() -> list[Path]:
    """Returns the sources of the notebooks, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def cells_of(path: Path) -> list[Cell]:
    """Reads the cells of a source.

    Raises:
        ValueError: if the file does not begin with a cell.
    """
    parts = re.split(r"^# %%(.*)\n", path.read_text(), flags=re.MULTILINE)
    if parts[0].strip():
        raise ValueError(f"{path} must begin with a cell, `# %% [markdown]`.")
    cells = []
    for head, body in zip(parts[1::2], parts[2::2], strict=True):
        tags = tuple(re.findall(r'"(\w+)"', head))
        if "[markdown]" in head:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        cells.append(Cell("markdown" if "[markdown]" in head else "code", body.strip(), tags))
    return cells


def smaller(png: str) -> str:
    """Rounds a picture to 32 levels per channel, which PNG stores in a third of the space: base64 in and out."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.point(lambda level: level & 0xF8 | level >> 5).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def build(path: Path):
    """Executes a source and writes the notebook beside it.

    Raises:
        ValueError: if the outputs name a directory of this machine, or the file is too large.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook()
    for i, cell in enumerate(cells_of(path)):
        new = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        made = new(cell.source, id=f"cell-{i}")  # numbered, so that a new build changes what has changed only
        if cell.tags:
            made.metadata["tags"] = list(cell.tags)
        notebook.cells.append(made)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as directory:
        resources = {"metadata": {"path": directory}}
        NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
        if cell.cell_type == "code":
            cell.outputs = [x for x in cell.outputs if x.get("name") != "stderr"]
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    output.data["image/png"] = smaller(png)
    notebook.metadata.pop("language_info", None)
    text = nbformat.writes(notebook)
    if found := OF_A_MACHINE.search(re.sub(r'"image/png": "[^"]*"', "", text)):
        place = text[max(0, found.start() - 40) : found.end() + 60]
        raise ValueError(f"The outputs of {path.name} name a directory of this machine: {place!r}.")
    if len(text) > MOST_BYTES:
        raise ValueError(
            f"The notebook of {path.name} has {len(text):,} bytes, more than {MOST_BYTES:,}: smaller figures."
        )
    path.with_suffix(".ipynb").write_text(text + "\n")


def main():
    names = [path.stem for path in sources()]
    parser = argparse.ArgumentParser(description="Executes the notebooks' sources and writes them with their outputs.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"notebooks to build (default: all): {', '.join(names)}"
    )
    for name in parser.parse_args().names or names:
        print(f"Executing {name} ...", flush=True)
        build(HERE / f"{name}.py")


if __name__ == "__main__":
    main()
