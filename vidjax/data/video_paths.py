"""The videos that a path names: a file, a folder of numbered frames, or a directory of videos."""

import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

from vidjax.data import frame_folder, video

SHOWN = 3  # files that a message names


def find_videos(path: str | Path) -> tuple[list[Path], list[Path]]:
    """Finds the videos that a path names.

    A file is a video, whatever it holds. A directory whose own images are one numbered sequence, with no video beside
    them, is one video. Any other directory is all videos below it, sorted: files whose name says so, files of other
    names in which FFmpeg finds a video stream, and folders of numbered frames. Hidden files and directories do not
    count, nor what macOS puts in `__MACOSX`.

    Returns:
        The videos, and the files below a directory that belong to no video.

    Raises:
        ValueError: if the path does not exist, or no video is in the directory; says what was found instead.
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
    """The sentence that says which files below a directory are not videos."""
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
    # A damaged video is still named as one, so that it is reported and not ignored
    return (mimetypes.guess_type(file.name)[0] or "").startswith("video/") or video.why_not_a_video(file) is None
