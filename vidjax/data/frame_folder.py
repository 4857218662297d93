"""Read a folder of numbered images as a video, for example the output of `ffmpeg -i video.mp4 frame_%05d.jpg`."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vidjax.data.decoding import DamagedVideo

IMAGES = frozenset(".bmp .jpeg .jpg .png .tif .tiff .webp".split())
FPS = 25.0  # images have no frame rate


def numbered_images(directory: Path) -> list[Path]:
    """Returns the images directly in a folder, ordered by number; [] if they are not one numbered sequence.

    All names share one prefix before the number: img_00001.jpg, img_00002.jpg, ... Images of optical flow beside them
    (flow_x_00001.jpg, as TSN stores it) are ignored.

    Raises:
        ValueError: if a number occurs twice.
    """
    sequences = {}
    for path in Path(directory).iterdir():
        if path.suffix.lower() not in IMAGES or path.name.startswith("."):
            continue
        name, number = re.fullmatch(r"(.*?)(\d*)", path.stem, re.DOTALL).groups()
        if not number:
            return []
        sequences.setdefault(name, []).append((int(number), path.name, path))
    frames = {name: found for name, found in sequences.items() if not name.lower().startswith("flow")} or sequences
    if len(frames) != 1:
        return []
    found = sorted(next(iter(frames.values())))
    for (number, name, _), (other, other_name, _) in itertools.pairwise(found):
        if number == other:
            raise ValueError(f"{directory} has frame {number} twice, {name} and {other_name}: remove one sequence.")
    return [path for _, _, path in found]


def read_image(path: Path) -> np.ndarray:
    """Reads an image as uint8 (H, W, 3) RGB. Raises a ValueError if it cannot be decoded."""
    data = np.fromfile(path, np.uint8)  # cv2.imread accepts UTF-8 names only
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read: replace or remove it.")
    return image


def missing_numbers(images: list[Path]) -> int:
    """Counts the images missing between the first and the last; the median distance of numbers is the regular one."""
    numbers = np.array([int(re.search(r"\d+$", path.stem)[0]) for path in images])
    steps = np.diff(numbers)
    if not len(steps):
        return 0
    step = max(1, int(np.median(steps)))
    return int((steps // step - 1).clip(0).sum())


def decode(directory: Path, fps: float = FPS) -> Iterator[tuple[Path, float, float]]:
    """Yields (path, seconds from the first image, 1 / fps) for each image of a frame folder.

    Raises:
        ValueError: if the folder does not hold one numbered sequence of images.
        DamagedVideo: after the last image, if numbers are missing in between.
    """
    images = numbered_images(directory)
    if not images:
        raise ValueError(
            f"{directory} is not a frame folder: its images must share one name before a number, like frame_00001.jpg."
        )
    for i, path in enumerate(images):
        yield path, i / fps, 1 / fps
    if missing := missing_numbers(images):
        raise DamagedVideo(
            f"{directory}: {missing} numbers are missing between {images[0].name} and {images[-1].name}."
        )
