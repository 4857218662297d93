"""List the videos and images in and below a folder, and count what is ignored there by kind."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from vidjax.data import frame_folder, video
from vidjax.progress_bar import progress_bar

# Accepted by their ending; damage is found when they are read. FFmpeg examines files with unknown endings.
VIDEOS = frozenset(
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m1v .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mk3d .mkv .mov .mp4 .mpe "
    ".mpeg .mpg .mts .mxf .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .wtv .y4m".split()
)
# Ignored without FFmpeg: datasets hold thousands of them
NOT_VIDEOS = frozenset(
    ".aac .ass .bak .bat .bib .bin .bz2 .c .cfg .ckpt .cpp .csv .db .doc .docx .exe .flac .gz .h5 .hdf5 .html "
    ".ini .ipynb .jar .js .json .jsonl .lnk .lock .log .m .m3u .m4a .mat .md .md5 .mp3 .nfo .npy .npz .odt .onnx "
    ".parquet .part .pb .pdf .pickle .pkl .ppt .pptx .pt .pth .py .pyc .rar .rst .rtf .sh .sha1 .sha256 .smi .srt .sub "
    ".svg .tar .tex .tfrecord .tgz .tmp .toml .torrent .tsv .txt .url .vtt .wav .wma .xls .xlsx .xml .xz .yaml .yml "
    ".zip .zst .crdownload .partial .7z .cache .conf .css .htm .php .r .rb .list".split()
)
JUNK = frozenset(
    "__macosx __pycache__ @eadir #recycle $recycle.bin lost+found desktop.ini ehthumbs.db thumbs.db icon\r".split(" ")
    + ["system volume information"]
)
LINK_DEPTH = 2  # follow links to split and class folders only: deeper ones could lead anywhere


@dataclasses.dataclass(eq=False)
class Folder:
    """A folder without its ignored files.

    Attributes:
        path: path of the folder.
        folders: its subfolders, sorted by name.
        videos, images: files directly in it, sorted by name.
    """

    path: Path
    folders: list["Folder"] = dataclasses.field(default_factory=list)
    videos: list[Path] = dataclasses.field(default_factory=list)
    images: list[Path] = dataclasses.field(default_factory=list)

    def walk(self) -> Iterator["Folder"]:
        """Yields this folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def has_videos(self) -> bool:
        """Returns whether there is a video file here or below."""
        return any(folder.videos for folder in self.walk())

    def has_media(self) -> bool:
        """Returns whether there is a video file or an image here or below."""
        return any(folder.videos or folder.images for folder in self.walk())

    def folders_with_media(self) -> list["Folder"]:
        """Returns the subfolders that have videos or images, directly or below."""
        return [folder for folder in self.folders if folder.has_media()]


class Ignored:
    """Ignored files and folders below a directory: the count and the first one of each kind."""

    JUNK = "hidden or system files and folders"

    def __init__(self, directory: Path):
        self.directory, self._kinds = directory, {}

    def add(self, kind: str, path: Path, why: str = ""):
        """Counts a file or folder; `why` explains the first one."""
        count, first, reason = self._kinds.get(kind, (0, path, why))
        self._kinds[kind] = count + 1, first, reason

    def report(self, say: Callable[[str], None]):
        """Reports one line per kind with an example, then the remedy."""
        for kind in sorted(self._kinds):
            count, first, reason = self._kinds[kind]
            example = first.relative_to(self.directory) if first.is_relative_to(self.directory) else first
            say(f"ignored: {count} {kind}, like {example}{f' ({reason})' if reason else ''}.")
        if self._kinds.keys() - {self.JUNK}:
            say("If some of these are videos, list them in a CSV (path,label).")


def read_tree(directory: Path, ignored: Ignored) -> Folder:
    """Lists a folder and all folders below it; FFmpeg examines files with unknown endings.

    Raises:
        ValueError: if a folder cannot be listed.
    """
    unknown = []
    root = _read(directory, ignored, unknown, 0)
    for folder, path in progress_bar(unknown, "looking for videos", leave=False):
        if why := video.why_not_a_video(path):
            why = " ".join(why.replace(str(path), "").split()).strip(" :.")
            ignored.add(f"{path.suffix.lower() or 'extensionless'} files", path, why)
        else:
            folder.videos.append(path)
    for folder in {id(folder): folder for folder, _ in unknown}.values():
        folder.videos.sort()
    return root


def _read(path: Path, ignored: Ignored, unknown: list, depth: int) -> Folder:
    folder = Folder(path)
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ValueError(f"{path} cannot be listed: {error.strerror}. Change its permissions, or move it.") from None
    for entry in entries:
        ending = entry.suffix.lower()
        if entry.name.startswith(".") or entry.name.casefold() in JUNK:
            ignored.add(Ignored.JUNK, entry)
        elif entry.is_dir():
            if entry.is_symlink() and depth >= LINK_DEPTH:
                ignored.add("links to folders inside class folders", entry)
            else:
                folder.folders.append(_read(entry, ignored, unknown, depth + 1))
        elif ending in VIDEOS:
            folder.videos.append(entry)
        elif ending in frame_folder.IMAGES:
            folder.images.append(entry)
        elif ending in NOT_VIDEOS:
            ignored.add(f"{ending} files", entry)
        elif not entry.is_file():  # opening a pipe would block
            ignored.add("broken links or special files", entry)
        else:
            unknown.append((folder, entry))
    return folder
