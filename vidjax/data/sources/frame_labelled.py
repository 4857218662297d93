"""Published datasets with one label per frame: 50Salads, GTEA and Breakfast, as videos or as published features.

The layout is that of github.com/yabufarha/ms-tcn:

    groundTruth/VIDEO.txt  mapping.txt  splits/train.split1.bundle  splits/test.split1.bundle ...  features/VIDEO.npy
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from vidjax.data import containers, feature_files, frame_label_files, video_paths
from vidjax.data.sources import published_folds
from vidjax.data.sources.items import Dataset, Item, Steps
from vidjax.data.sources.named_videos import by_name, match, shown

Say = Callable[[str], None]
Notes = dict[str, list[str]]  # what is worth saying: of which videos

CUT = "labels and frames are cut to the shorter"
SLACK = 30  # frames by which labels may differ from their video: those of 50Salads are 8 shorter (ms-tcn, issue 44)


def find(
    videos: Path | None,
    annotations: Path,
    say: Say,
    *,
    fps: float,
    num_folds: int,
    stride: int = 1,
    name_of: Callable[[Path], str] = lambda path: path.stem,
) -> Dataset:
    """Lists the videos of a dataset; classes have the order of mapping.txt, splits the names of `published_folds`.

    If labels and frames differ by up to `SLACK` frames, the longer ones are cut at the end; the authors do not say
    where the missing frames of 50Salads were.

    Args:
        videos: folder of videos, or of features VIDEO.npy; by default the folder features of `annotations`.
        annotations: folder of groundTruth, mapping.txt and splits.
        fps: labelled frames per second, which features do not tell.
        num_folds: published number of folds.
        stride: features are kept at every `stride`-th frame.
        name_of: returns the name of a video by its path.

    Raises:
        ValueError: for wrong or missing annotations, or a video of another length than its labels.
    """
    folder = videos or annotations / "features"
    classes = frame_label_files.read_mapping(annotations / "mapping.txt")
    split_of, folds = read_folds(annotations / "splits", num_folds, say)
    features = by_name(sorted(folder.rglob("*.npy")))
    if videos is None and not features:
        raise ValueError(f"{folder} has no features VIDEO.npy; give --videos, a folder of videos or of features.")
    found = match(split_of, features or by_name(video_paths.find_videos(folder)[0], name_of), say, loosely=True)
    paths, problems = found.paths, {"missing": found.missing, "misspelt": found.misspelt}
    if left_out := sorted({path.stem for path in (annotations / "groundTruth").glob("*.txt")} - split_of.keys()):
        say(f"warning: {len(left_out)} labelled videos are in no bundle and are left out: {shown(left_out)}.")
    labels = frame_label_files.read_frame_labels(annotations / "groundTruth", mapping=classes, bundle=[*paths])
    read, notes = of_features if features else of_video, defaultdict(list)
    items = [read(path, labels[name], split_of[name], fps, stride, notes) for name, path in paths.items()]
    for text, details in notes.items():
        say(f"note: {text}: {len(details)} of {len(items)} videos, like {details[0]}.")
    folds = published_folds.by_name(folds, {item.split for item in items})
    if not features:
        return Dataset(items, classes, "unchanged", folds=folds, problems=problems)
    widths = Counter(feature_files.open_features(item.path).shape[0] for item in items)
    if len(widths) > 1:
        raise ValueError(f"{folder} has features of several widths D: {', '.join(map(str, widths))}; give one kind.")
    if stride > 1:
        say(f"note: features are kept at one of {stride} frames, {fps / stride:g} per second, as their authors do.")
    inputs = {"prefix": feature_files.PREFIX, "width": min(widths), "layer": "features", "source": "published features"}
    return Dataset(items, classes, "forbidden", folds=folds, problems=problems, inputs=inputs | {"clip": {}})


def of_features(path: Path, labels: list[str], split: str, fps: float, stride: int, notes: Notes) -> Item:
    """Returns the features of a video, in which a step stands for one labelled frame or for two."""
    shape = feature_files.open_features(path).shape
    frames = min((1, 2), key=lambda frames: abs(len(labels) - frames * shape[1]))  # per step
    if abs(len(labels) - frames * shape[1]) > SLACK:
        raise ValueError(
            f"{path} has the axes {shape}, (D, time steps), but its video has {len(labels)} labels. There must be a "
            "step per frame, or per two frames: are features and labels of one release?"
        )
    if abs(len(labels) - frames * shape[1]) >= frames:
        notes[CUT].append(f"{path.stem} ({len(labels)} labels, {shape[1]} steps)")
    if frames > 1:
        notes["the features have a step per two frames; every second label is kept"].append(path.stem)
    labels = labels[: frames * shape[1]]
    steps = Steps(fps, max(frames, stride), max(1, stride // frames))
    return Item(
        str(path), tuple(sorted({*labels})), split, end=len(labels) / fps, segments=runs(labels, fps), steps=steps
    )


def of_video(path: Path, labels: list[str], split: str, fps: float, stride: int, notes: Notes) -> Item:
    """Returns a video up to its last label. One that cannot be read is reported later, with those of other datasets."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder of images, without a frame rate; give files of videos, or features.")
    try:
        with containers.open_video(path) as file:
            fps, length = containers.frame_rate_of(file), containers.video_stream(file).frames or len(labels)
    except ValueError:
        length = len(labels)
    if abs(length - len(labels)) > SLACK:
        raise ValueError(
            f"{path} has {length} frames, but {len(labels)} labels. Are they of one release, at the same frame rate?"
        )
    if length != len(labels):
        notes[CUT].append(f"{path.stem} ({len(labels)} labels, {length} frames)")
    labels = labels[:length]
    end = (len(labels) - 0.5) / fps  # not at a frame: files round the times of frames
    return Item(str(path), tuple(sorted({*labels})), split, end=end, segments=runs(labels, fps))


def runs(labels: Sequence[str], fps: float) -> tuple[tuple[float, float, str], ...]:
    """Returns the segments (start, end, class), in seconds, of runs of equal labels."""
    found, start = [], 0
    for label, run in groupby(labels):
        end = start + len([*run])
        found.append((start / fps, end / fps, label))
        start = end
    return tuple(found)


def breakfast_name(path: Path) -> str:
    """Returns the name of a video of Breakfast, such as P03_stereo01_P03_tea for P03/stereo/P03_tea_ch0.avi.

    Both channels of the stereo camera have that name. A file may also be named like its labels.
    """
    person, camera = path.parent.parent.name, path.parent.name
    if not re.fullmatch(r"P\d\d", person):
        return path.stem
    return f"{person}_{'stereo01' if camera == 'stereo' else camera}_{re.sub('_ch[01]$', '', path.stem)}"


# -------------------------------------------------------------------------------------------------------------- folds


def read_folds(folder: Path, num_folds: int, say: Say) -> tuple[dict[str, str], list[dict]]:
    """Reads the videos of each fold from files {train,test}.splitK.bundle.

    Returns:
        The split of each video, and the folds as in `folds`, in the order of their numbers. Videos that have the same
        role in every fold are one split, so that any bundles can be expressed.

    Raises:
        ValueError: if there are none, one of a pair is missing, or a fold trains and tests on one video.
    """
    numbers = sorted(
        int(x[1]) for path in folder.glob("*") if (x := re.fullmatch(r"test\.split(\d+)\.bundle", path.name))
    )
    if not numbers:
        raise ValueError(f"{folder} has no file test.split1.bundle; give the folder of groundTruth and splits.")
    roles = defaultdict(dict)
    for number in numbers:
        for role in ("train", "test"):
            path = folder / f"{role}.split{number}.bundle"
            for line in frame_label_files.read_bundle(path):
                name = Path(line).name  # some releases have a comment and folders
                if line.startswith("#"):
                    continue
                if role == "test" and roles[name].get(number) == "train":
                    raise ValueError(f"{folder}: fold {number} trains and tests on {name}; correct a bundle.")
                roles[name][number] = role
    split_of, folds = published_folds.from_roles(roles, numbers)
    if numbers != [*range(1, num_folds + 1)]:
        say(f"warning: {folder} has the folds {', '.join(map(str, numbers))} of 1 to {num_folds}.")
    elif odd := [name for name in split_of if not re.fullmatch(r"split\d+", split_of[name])]:
        say(f"warning: {folder}: the folds do not test each video once and train on it otherwise: {shown(odd)}.")
    return split_of, folds
