"""Executes the notebooks' sources and writes them with their outputs: 01_frame_features.py -> 01_frame_features.ipynb.

    pip install -e '.[notebooks]'
    python docs/notebooks/build.py [01_frame_features ...]
    python docs/notebooks/build.py --texts 01_frame_features     # only texts have changed: keeps the outputs

Progress bars and warnings (stderr) are left out of the outputs, and figures are rounded to 32 levels. Files that a
notebook makes go to a temporary directory.
"""

import argparse
import base64
import io
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image  # matplotlib needs it, too
from sources import all_sources, cells_of

MOST_BYTES = 400_000
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:tmp|work|root|home|Users|usr)/")


def smaller(png: str) -> str:
    """Rounds a picture to 32 levels per channel, which PNG stores in a third of the space: base64 in and out."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.point(lambda level: level & 0xF8 | level >> 5).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(path: Path) -> nbformat.NotebookNode:
    """Returns the notebook of a source with its outputs, without progress bars, warnings and times."""
    notebook = nbformat.v4.new_notebook()
    for i, cell in enumerate(cells_of(path)):
        new = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        made = new(cell.source, id=f"cell-{i}")  # numbered, so that a new build changes what has changed only
        if cell.tags:
            made.metadata["tags"] = list(cell.tags)
        notebook.cells.append(made)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as directory:
        settings = {"resources": {"metadata": {"path": directory}}, "kernel_name": "python3", "coalesce_streams": True}
        NotebookClient(notebook, timeout=None, **settings).execute()
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if png := output.get("data", {}).get("image/png"):
                    output.data["image/png"] = smaller(png)
    return notebook


def with_new_texts(path: Path) -> nbformat.NotebookNode:
    """Returns the notebook that lies beside a source, with the source's texts and the outputs that are there.

    Raises:
        ValueError: if the code has changed, too.
    """
    notebook, cells = nbformat.read(path.with_suffix(".ipynb"), 4), cells_of(path)
    there, here = [(x.cell_type, x.source) for x in notebook.cells], [(x.kind, x.source) for x in cells]
    if [kind for kind, _ in there] != [kind for kind, _ in here] or code_of(there) != code_of(here):
        raise ValueError(f"The code of {path} has changed since the notebook was built: build it without --texts.")
    for old, new in zip(notebook.cells, cells, strict=True):
        old.source = new.source
    return notebook


def code_of(cells: list[tuple[str, str]]) -> list[str]:
    """Returns the sources of the code cells among (kind, source)."""
    return [source for kind, source in cells if kind == "code"]


def write(path: Path, notebook: nbformat.NotebookNode):
    """Writes a notebook.

    Raises:
        ValueError: if its outputs name a directory of this machine, or the file would be too large.
    """
    text = nbformat.writes(notebook)
    if found := OF_A_MACHINE.search(re.sub(r'"image/png": "[^"]*"', "", text)):
        raise ValueError(f"{path} would name a directory of this machine ({found[0]}): print less.")
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} would have {len(text):,} bytes, more than {MOST_BYTES:,}: make its figures smaller.")
    path.write_text(text + "\n")


def main():
    paths = {path.stem: path for path in all_sources()}
    parser = argparse.ArgumentParser(description="Executes the notebooks' sources and writes them with their outputs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"notebooks (default: all): {', '.join(paths)}")
    parser.add_argument("--texts", action="store_true", help="only put new texts into them, and keep the outputs")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(paths)):
        parser.error(f"unknown notebooks {', '.join(unknown)}; choose from {', '.join(paths)}")
    for name in args.names or paths:
        print(f"{name} ...", flush=True)
        notebook = with_new_texts(paths[name]) if args.texts else execute(paths[name])
        write(paths[name].with_suffix(".ipynb"), notebook)


if __name__ == "__main__":
    main()
