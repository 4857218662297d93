"""Omniglot: characters of many alphabets, each drawn by 20 people, as images, videos of the pen, or trajectories.

    images_SET/ALPHABET/characterNN/NNNN_DRAWER.png     make_records omniglot DIR
    strokes_SET/ALPHABET/characterNN/NNNN_DRAWER.txt    make_records strokes DIR, make_records trajectories DIR
    all_runs/runNN/class_labels.txt, training/, test/   `read_runs`

as github.com/brendenlake/omniglot publishes them: folders at any depth, or the zip files. A class is
ALPHABET/characterNN. The media_id of a record is a path that ends like those above. A drawer is a number of two digits
and is one person within an alphabet.
"""

import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vidjax.data import feature_files
from vidjax.data.sources.items import Dataset, Item, Steps
from vidjax.data.synthetic import strokes

Say = Callable[[str], None]

SPLITS = {"background_small1": "train", "background_small2": "test"}  # other sets keep their names
# In a path: set, alphabet, character, name. Nothing else of it is used, so that zip files cannot write elsewhere
MEMBER = r"/{kind}_(\w+)/([^/\\.][^/\\]*)/(character\d+)/(\d+_\d+)\.(?:png|txt)$"


class Drawing(NamedTuple):
    """A drawing: its path, which may be in a zip file, its class, its split, and its name without ending."""

    path: Path | zipfile.Path
    label: str
    split: str
    name: str

    def below(self, folder: Path, ending: str) -> Path:
        """Returns the path of a file made from this drawing."""
        return folder / self.split / self.label / f"{self.name}{ending}"


class Run(NamedTuple):
    """A one-shot run of Lake et al.: drawings of 20 characters of an alphabet by one person, and by another.

    Attributes:
        training, test: images, uint8 (20, 105, 105), ink 0 on 255.
        answers: int (20,), the training image of the same character for each test image.
    """

    training: np.ndarray
    test: np.ndarray
    answers: np.ndarray


def images(directory: Path, out: Path, say: Say) -> Dataset:
    """Lists the images; those in zip files are unpacked to `out/images`. Each is a video of one frame."""
    items = []
    for drawing in find(directory, "images", say):
        path = drawing.path
        if isinstance(path, zipfile.Path):
            path = drawing.below(out / "images", ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(drawing.path.read_bytes())
        items.append(Item(str(path), (drawing.label,), drawing.split))
    return _dataset(items)


def pen_videos(directory: Path, out: Path, say: Say, **rendering) -> Dataset:
    """Renders the strokes as videos in `out/videos`; `rendering` are the arguments of `strokes.render`."""
    files = [(drawing, drawing.below(out / "videos", ".mp4")) for drawing in find(directory, "strokes", say)]
    strokes.render([(path, drawing.path) for drawing, path in files], **rendering)
    return _dataset([Item(str(path), (drawing.label,), drawing.split) for drawing, path in files])


def trajectories(directory: Path, out: Path, say: Say, real_time: bool = False) -> Dataset:
    """Writes the strokes as features to `out/trajectories`, see `strokes.trajectory`."""
    items = []
    for drawing in find(directory, "strokes", say):
        path = drawing.below(out / "trajectories", ".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, strokes.trajectory(strokes.read_strokes(drawing.path), real_time=real_time).T)
        items.append(Item(str(path), (drawing.label,), drawing.split, steps=Steps(fps=0.0)))
    time = "seconds" if real_time else "share of the time"
    described = {"layer": f"x, y, pen down, {time}", "source": "omniglot", "clip": {}}
    return _dataset(items, {"prefix": feature_files.PREFIX, "width": 4, **described})


def _dataset(items: list[Item], inputs: dict | None = None) -> Dataset:
    labels = sorted({label for item in items for label in item.labels})
    return Dataset(items, labels, "forbidden", inputs=inputs)  # the mirror image of a character may be another one


def find(directory: Path, kind: str, say: Say) -> list[Drawing]:
    """Lists the drawings in a folder and its zip files, those of each alphabet in the first set that has it.

    Both small sets have Greek and Latin, with the same drawings: as training and test drawings they would flatter.

    Args:
        kind: "images" or "strokes".

    Raises:
        ValueError: if there are none.
    """
    member = re.compile(MEMBER.format(kind=kind))
    found = {}
    for name, path in _files(directory, f"{kind}_*.zip"):
        if match := member.search(name):
            found.setdefault(match.groups(), path)
    if not found:
        raise ValueError(
            f"{directory} has neither {kind}_background_small1/ALPHABET/character01/... nor "
            f"{kind}_background_small1.zip, at any depth; give the folder of the files of Omniglot."
        )
    sets = {of_set for of_set, *_ in found}
    sets = [name for name in SPLITS if name in sets] + sorted(sets - {*SPLITS})
    home = {alphabet: of_set for of_set in reversed(sets) for name, alphabet, *_ in found if name == of_set}
    for of_set in sets:
        if twice := sorted({alphabet for name, alphabet, *_ in found if name == of_set != home[alphabet]}):
            say(f"note: {', '.join(twice)} of {of_set} left out: another set has the same drawings.")
    return [
        Drawing(path, f"{alphabet}/{character}", SPLITS.get(of_set, of_set), name)
        for (of_set, alphabet, character, name), path in sorted(found.items())
        if home[alphabet] == of_set
    ]


def read_runs(directory: Path) -> list[Run]:
    """Reads the one-shot runs in a folder, or in a file all_runs.zip in it, in the order of their numbers.

    Raises:
        ValueError: if there are none, or one is incomplete.
    """
    found = defaultdict(dict)
    for name, path in _files(directory, "all_runs.zip"):
        if match := re.search(r"/run(\d+)/(class_labels\.txt|(?:training|test)/\w+\.png)$", name):
            found[match[1]].setdefault(match[2], path)
    if not found:
        raise ValueError(f"{directory} has neither run01/class_labels.txt nor all_runs.zip, at any depth.")
    return [_read_run(files, f"{directory}: run{number}") for number, files in sorted(found.items())]


def _read_run(files: dict[str, Path | zipfile.Path], run: str) -> Run:
    if "class_labels.txt" not in files:
        raise ValueError(f"{run} has no class_labels.txt.")
    pairs = []
    for line in files["class_labels.txt"].read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"run\d+/(test/\w+\.png) run\d+/(training/\w+\.png)", line.strip())
        if not match or not {*match.groups()} <= {*files}:
            raise ValueError(f"{run}: class_labels.txt has {line!r}; it must name a test and a training image there.")
        pairs.append(match.groups())
    training = sorted(name for name in files if name.startswith("training"))
    images = [np.stack([read_image(files[name]) for name in names]) for names in (training, [x for x, _ in pairs])]
    return Run(*images, np.array([training.index(name) for _, name in pairs]))


def read_image(path: Path | zipfile.Path) -> np.ndarray:
    """Reads an image in grey: uint8 (H, W). Raises a ValueError if it is not one."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read: replace it.")
    return image


def _files(directory: Path, zips: str) -> Iterator[tuple[str, Path | zipfile.Path]]:
    """Yields all files below a directory, then those in its zip files: name from the root on, and path."""
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory; give the folder of the files of Omniglot.")
    yield from ((path.absolute().as_posix(), path) for path in sorted(directory.rglob("*")) if path.is_file())
    for path in sorted(directory.rglob(zips)):
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path}: {error}: download it again.") from None
        yield from ((f"/{name}", zipfile.Path(archive, name)) for name in archive.namelist())
