"""Labelled videos from folders: DIRECTORY/CLASS/video or DIRECTORY/SPLIT/CLASS/video.

A folder of numbered images is a video too. If a layout is ambiguous, the guess is printed or refused.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from vidjax.data import frame_folder
from vidjax.data.sources import split_names
from vidjax.data.sources.folder_tree import Folder, Ignored, read_tree
from vidjax.data.sources.items import Item

NOT_CLASSES = frozenset(
    "annotation annotations annots bbox boxes caption captions cover covers doc docs groundtruth gt keypoints label "
    "labels mask masks meta metadata poses poster posters preview previews scripts sample samples segmentation "
    "segmentations split splits thumb thumbnail thumbnails thumbs".split()
)
FLOW = re.compile(r"(.*[ _-])?flow([ _-].*)?|flow[xyuv]|[xyuv]")  # names of folders of optical flow
REMEDY = "list the videos in a CSV (path,label,split)"

Say = Callable[[str], None]


def from_folder(directory: Path, *, frame_folders: bool = False, say: Say = print) -> list[Item]:
    """Lists the videos in class folders, with or without split folders (train, val, test in any usual spelling).

    Args:
        directory: holds `CLASS/**/video`, `SPLIT/CLASS/**/video` or `CLASS/SPLIT/**/video`, perhaps inside one folder
            around them.
        frame_folders: require that the videos are folders of numbered images; by default these are detected.
        say: receives one line per guess and per kind of ignored file.

    Raises:
        ValueError: if there is no video, or if the layout is ambiguous.
    """
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory, nor a list of videos (.csv, .tsv, .txt, .list).")
    ignored = Ignored(directory)
    root = _look_through(read_tree(directory, ignored), ignored, say)
    classes = _classes(root, ignored, say)
    items, kinds = [], {}
    for split, folder in classes:
        for split_within, part in _splits_within(folder, split):
            kind, paths = _videos_of(part, frame_folders, ignored)
            kinds.setdefault(kind, paths[0])
            items += [Item(str(path), (folder.path.name,), split_within) for path in paths]
    ignored.report(say)
    if not items:
        raise ValueError(
            f"{directory} has no videos: expected {directory}/CLASS/video.mp4, with one folder per class. Or {REMEDY}."
        )
    if len(kinds) > 1:
        examples = "; ".join(f"{kind}, like {path}" for kind, path in sorted(kinds.items()))
        raise ValueError(f"{directory} mixes {examples}. Remove one kind, or {REMEDY}.")
    _say_kind(next(iter(kinds)), items, [folder for _, folder in classes], say)
    _warn_of_wrong_level([folder for _, folder in classes], say)
    if without := [item for item in items if not item.split and any(other.split for other in items)]:
        raise ValueError(
            f"{directory}: {without[0].path} has no split, but other videos have one: put each class into split "
            f"folders, or none. Or {REMEDY}."
        )
    _warn_of_missing_classes(items, say)
    return items


# ------------------------------------------------------------------------------------- folders -> splits, classes


def _look_through(folder: Folder, ignored: Ignored, say: Say) -> Folder:
    """Steps into a single folder around the class folders or the split folders."""
    while True:
        with_media = folder.folders_with_media()
        if len(with_media) != 1 or split_names.usual_name(with_media[0].path.name):
            return folder
        (child,) = with_media
        inner = child.folders_with_media()
        frames = all(_is_frame_folder(grandchild) for grandchild in inner)
        if child.videos or child.images or not inner or frames:
            return folder
        _warn_of_empty(folder, say)
        _leave_out_files(folder, ignored)
        say(f"note: {folder.path} holds only the folder {child.path.name}; reading its content.")
        folder = child


def _classes(root: Folder, ignored: Ignored, say: Say) -> list[tuple[str, Folder]]:
    """Returns (split, class folder); the split is "" if there are no split folders."""
    folders = _with_media(root, ignored, say)
    splits = {folder: name for folder in folders if (name := split_names.usual_name(folder.path.name))}
    if not splits:
        within = {folder.path.name: split_names.name_within(folder.path.name) for folder in folders}
        if all(within.values()) and len(set(within.values())) > 1:
            raise ValueError(
                f"The folders of {root.path} look like splits ({_first(list(within))}): name them train, val and test, "
                f"or {REMEDY}."
            )
        return [("", folder) for folder in folders]
    if others := [folder.path.name for folder in folders if folder not in splits]:
        names = ", ".join(folder.path.name for folder in splits)
        raise ValueError(
            f"{root.path} has split folders ({names}) beside other folders with videos ({_first(others)}). Move the "
            f"classes into the split folders, remove the others, or {REMEDY}."
        )
    by_name = {}
    for folder, name in splits.items():
        if (other := by_name.setdefault(name, folder)) is not folder:
            raise ValueError(f"{other.path} and {folder.path} both mean the split {name}: merge or rename them.")
        if folder.path.name != name:
            say(f"note: the folder {folder.path.name} is the split {name}.")
    result = []
    for folder, name in splits.items():
        parent = _look_through(folder, ignored, say)
        files = parent.videos or parent.images
        if files and not parent.folders_with_media():
            raise ValueError(
                f"{files[0]} is in no class folder: expected {parent.path}/CLASS/{files[0].name} in the split {name}. "
                f"Make one folder per class, or {REMEDY}."
            )
        result += [(name, child) for child in _with_media(parent, ignored, say)]
    return result


def _with_media(parent: Folder, ignored: Ignored, say: Say) -> list[Folder]:
    """Returns the subfolders that are classes or splits; warns of those that are not."""
    _warn_of_empty(parent, say)
    _leave_out_files(parent, ignored)
    with_media = parent.folders_with_media()
    if not any(folder.has_videos() for folder in with_media):
        return with_media
    result = []
    for folder in with_media:
        if folder.has_videos() or folder.path.name.casefold() not in NOT_CLASSES:
            result.append(folder)
        else:
            say(f"warning: {folder.path} has images and no videos; it is ignored. If it is a class, {REMEDY}.")
    return result


def _warn_of_empty(parent: Folder, say: Say):
    empty = [folder.path.name for folder in parent.folders if not folder.has_media()]
    if empty and len(empty) < len(parent.folders):
        say(f"warning: no videos in {_first(empty)} of {parent.path}; ignored.")


def _leave_out_files(parent: Folder, ignored: Ignored):
    for path in (*parent.videos, *parent.images):
        ignored.add("videos or images outside class folders", path)


def _splits_within(folder: Folder, split: str) -> Iterator[tuple[str, Folder]]:
    """Yields (split, folder) of a class: the folder itself, or the split folders in it (CLASS/train, CLASS/test)."""
    inner = folder.folders_with_media()
    named = {child.path.name: split_names.usual_name(child.path.name) for child in inner}
    if not any(named.values()):
        yield split, folder
        return
    if split or folder.videos or folder.images or not all(named.values()) or len(set(named.values())) < len(named):
        found = ", ".join(name for name in named if named[name])
        raise ValueError(f"{folder.path} is a class with split folders ({found}) beside other videos: move them apart.")
    for child in inner:
        yield named[child.path.name], child


# ----------------------------------------------------------------------------------------- class folder -> videos


def _is_frame_folder(folder: Folder) -> bool:
    return bool(folder.images) and not folder.folders_with_media() and bool(frame_folder.numbered_images(folder.path))


def _videos_of(folder: Folder, frame_folders: bool, ignored: Ignored) -> tuple[str, list[Path]]:
    """Returns the kind ("video files", "frame folders", "images") of the videos of a class, and their paths."""
    below = list(folder.walk())
    videos = sorted(path for part in below for path in part.videos)
    with_images = [part for part in below if part.images]
    numbered = [part for part in with_images if part is not folder and frame_folder.numbered_images(part.path)]
    for part in _flow_beside_frames(numbered):
        with_images.remove(part)
        numbered.remove(part)
        ignored.add("folders of optical flow beside frames", part.path)
    if frame_folders:
        return "frame folders", _required_frame_folders(folder, videos, with_images, numbered, ignored)
    if videos:
        for part in with_images:
            for path in part.images:
                ignored.add("images beside videos (thumbnails, or frames of the videos)", path)
        return "video files", videos
    if numbered and any(len(part.images) > 1 for part in numbered):
        if other := [part for part in with_images if part not in numbered]:
            raise ValueError(
                f"{folder.path} has folders of numbered images, like {numbered[0].path}, and other images, like "
                f"{other[0].images[0]}. If each folder is a video, remove the other images; if each image is a video "
                f"of one frame, {REMEDY}."
            )
        return "frame folders", sorted(part.path for part in numbered)
    return "images", sorted(path for part in with_images for path in part.images)


def _flow_beside_frames(numbered: list[Folder]) -> list[Folder]:
    flow = [part for part in numbered if FLOW.fullmatch(part.path.name.casefold())]
    frames = {part.path.parent for part in numbered if part not in flow}
    return [part for part in flow if part.path.parent in frames]


def _required_frame_folders(folder: Folder, videos, with_images, numbered, ignored: Ignored) -> list[Path]:
    if videos:
        raise ValueError(f"--frame_folders: {folder.path} has a video file, {videos[0]}; remove it, or {REMEDY}.")
    if not numbered:
        raise ValueError(
            f"--frame_folders: {folder.path} has no folders of numbered images; expected "
            f"{folder.path}/VIDEO/frame_00001.jpg, with one folder per video in each class folder. If "
            f"{folder.path.name} is itself a video, {REMEDY}."
        )
    for part in with_images:
        if part is folder:
            for path in part.images:
                ignored.add("images beside frame folders", path)
        elif part not in numbered:
            raise ValueError(
                f"--frame_folders: the images of {part.path} are not one numbered sequence like frame_00001.jpg; "
                "rename or remove them."
            )
    return sorted(part.path for part in numbered)


def _say_kind(kind: str, items: list[Item], classes: list[Folder], say: Say):
    deeper = [item for item in items if Path(item.path).parent.name != item.labels[0]]
    if kind == "frame folders":
        say(
            f"note: {len(items)} folders of numbered images are the videos, like {items[0].path}. If each image is a "
            f"video of one frame, {REMEDY}."
        )
    elif kind == "images":
        say(f"note: {len(items)} images are videos of one frame, like {items[0].path}.")
        if len(classes) > 1 and all(_looks_like_frames(folder) for folder in classes):
            say(
                "warning: the images of each class folder are numbered like the frames of one video. If each folder is "
                f"a video, {REMEDY} with the folders as paths."
            )
    elif deeper:
        say(f"note: {len(deeper)} videos are in folders inside a class folder, like {deeper[0].path}: class "
            f"{deeper[0].labels[0]}.")  # fmt: skip


def _looks_like_frames(folder: Folder) -> bool:
    return len(folder.images) > 1 and bool(frame_folder.numbered_images(folder.path))


def _warn_of_wrong_level(classes: list[Folder], say: Say):
    inner = {
        folder.path.name: {child.path.name for child in folder.folders_with_media() if not _is_frame_folder(child)}
        for folder in classes
    }
    shared = set.intersection(*inner.values())
    if len(inner) > 1 and len(shared) > 1 and not any(map(split_names.usual_name, shared)):
        say(
            f"warning: {_first(sorted(inner))} hold folders of the same names ({_first(sorted(shared))}). If those are "
            f"the classes, {REMEDY}."
        )


def _warn_of_missing_classes(items: list[Item], say: Say):
    by_split = {}
    for item in items:
        by_split.setdefault(item.split, set()).add(item.labels[0])
    classes = set().union(*by_split.values())
    for split in sorted(by_split):
        if missing := sorted(classes - by_split[split]):
            say(f"warning: the split {split} has no videos of {_first(missing)}.")


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
