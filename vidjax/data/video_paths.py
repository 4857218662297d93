"""Find the videos of a path: a file, a folder of numbered frames, or a directory of videos."""

import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

from vidjax.data import frame_folder, video

SHOWN = 3  # files that a message lists


def find_videos(path: str | Path) -> tuple[list[Path], list[Path]]:
    """Finds the videos of a path.

    A file counts as a video whatever its content. A directory is one video if its own images are one numbered sequence
    without a video beside them. Any other directory yields all videos below it, sorted: files with a video's ending,
    other files in which FFmpeg finds a video stream, and folders of numbered frames. Hidden files and directories, and
    `__MACOSX`, are skipped.

    Returns:
        The videos, and the files below a directory that belong to no video.

    Raises:
        ValueError: if the path does not exist, or the directory holds no video; lists the files found instead.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    if not path.is_dir():
        return [path], []
    videos, others = [], []
    for directory, files in _walk(path, set()):
        of_directory = [file for file in files if _is_video(file)]
        frames = [] if of_directory else frame_folder.numbered_images(directory)
        videos += [directory] if frames else of_directory
        others += sorted(set(files) - set(of_directory) - set(frames))
    if not videos:
        raise ValueError(
            f"{path} holds no video{_named(others)}. Looked for files in which FFmpeg finds a video, and for folders "
            "of numbered images; hidden files do not count. To classify a single image, give its own path."
        )
    return sorted(videos), others


def describe_others(path: str | Path, others: list[Path]) -> str:
    """Returns a sentence that lists the files below a directory that are not videos."""
    return f"{path}: files without a video: {len(others)}{_named(others)}."


def _named(files: list[Path]) -> str:
    names = ", ".join(file.name for file in files[:SHOWN])
    return f" ({names}{', ...' if len(files) > SHOWN else ''})" if files else ""


def _walk(directory: Path, seen: set[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yields each visible directory with its visible files. Follows links, each directory once."""
    real = os.path.realpath(directory)
    if real in seen:
        return
    seen.add(real)
    paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX")
    yield directory, [path for path in paths if path.is_file()]
    for path in paths:
        if path.is_dir():
            yield from _walk(path, seen)


def _is_video(file: Path) -> bool:
    if file.suffix.lower() in video.IMAGES:
        return False
    # The ending decides first, so that a damaged video is reported and not ignored
    return (mimetypes.guess_type(file.name)[0] or "").startswith("video/") or video.why_not_a_video(file) is None
