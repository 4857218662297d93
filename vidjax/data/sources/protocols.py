"""Published datasets: their annotations and splits, in the files of their authors, as labelled videos.

    ucf101 hmdb51 kinetics ssv2 jester diving48 charades epic_kitchens      see `trimmed_protocols`
    activitynet              activity_net.v1-3.min.json
    thumos14                 CLASS_val.txt and CLASS_test.txt
    50salads gtea breakfast  groundTruth/VIDEO.txt, mapping.txt, splits/*.bundle; features/VIDEO.npy, or videos

To add one, write a function `(videos, annotations, say) -> Dataset` and its line in `PROTOCOLS`. Splits keep the
authors' names. The folds `published` say which of them are trained and tested on; several official splits are also
the folds split1, split2, ..., see `published_folds`. Videos that are missing, doubled or misspelt are reported and
listed, not refused: those of YouTube disappear.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from vidjax.data import segment_files
from vidjax.data.sources import frame_labelled, published_folds, trimmed_protocols
from vidjax.data.sources.items import Dataset, Item
from vidjax.data.sources.named_videos import Paths, by_name, match, shown, videos_in
from vidjax.data.sources.untrimmed import BACKGROUND

Say = Callable[[str], None]

AMBIGUOUS = "Ambiguous"
WRONG_LABELS = ("video_test_0000270", "video_test_0001496")  # github.com/yjxiong/action-detection, issue 31


def activitynet(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """ActivityNet (Heilbron et al., CVPR 2015): splits train and val. The labels of its test set are not public.

    Args:
        videos: folder with files v_ID.* or ID.*, at any depth.
        annotations: the JSON file, or a folder that holds one.
    """
    if annotations.is_dir():
        if len(files := sorted(annotations.glob("*.json"))) != 1:
            raise ValueError(f"{annotations} has {len(files)} files *.json; give the file of the annotations.")
        annotations = files[0]
    found = segment_files.read_json(annotations, say=say)
    database = json.loads(annotations.read_text("utf-8")).get("database")
    if not database:
        raise ValueError(f'{annotations} holds detections; give the annotations, with an object "database".')
    splits = {"training": "train", "validation": "val", "testing": ""}
    if wrong := [f"{name} ({x.get('subset')})" for name, x in database.items() if x.get("subset") not in splits]:
        raise ValueError(f"{annotations}: the subset must be {', '.join(splits)}; it is not for {shown(wrong)}.")
    split_of = {name: split for name, x in database.items() if (split := splits[x["subset"]])}
    if len(split_of) < len(found):
        say(f"note: the {len(found) - len(split_of)} videos of the subset testing have no public labels; left out.")
    paths = by_name(videos_in(videos))
    paths |= {name.removeprefix("v_"): files for name, files in paths.items()}
    return untrimmed(split_of, "val", found, paths, (), say)


def thumos14(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """THUMOS14 (Idrees et al., 2017): splits val, on which detectors are trained, and test.

    Args:
        videos: folder with files video_validation_0000051.* and video_test_0000004.*, at any depth.
        annotations: folder with files CLASS_val.txt and CLASS_test.txt, at any depth.
    """
    files = sorted(path for split in ("val", "test") for path in annotations.rglob(f"[A-Z]*_{split}.txt"))
    if not files:
        raise ValueError(f"{annotations} has no file like Billiards_test.txt or Billiards_val.txt, at any depth.")
    classes, found, split_of = sorted(segment_files.THUMOS14_CLASSES.values()), defaultdict(list), {}
    for folder in dict.fromkeys(path.parent for path in files):
        for name, segments in segment_files.read_thumos(folder, labels=[*classes, AMBIGUOUS], say=say).items():
            found[name] += segments
    for name in sorted(found):
        split_of[name] = {"video_validation": "val", "video_test": "test"}.get(name.rpartition("_")[0])
        if split_of[name] is None:
            raise ValueError(f"{annotations}: the video {name} is not named like video_test_0000004.")
    names = {path.stem for path in files}
    if absent := [
        f"{label}_{split}.txt" for label in classes for split in ("val", "test") if f"{label}_{split}" not in names
    ]:
        say(f"warning: {annotations} has no {shown(absent)}.")
    unclear = sum(x.label == AMBIGUOUS for segments in found.values() for x in segments)
    say(f"note: {unclear} segments are {AMBIGUOUS}; they are left out, so that their frames are {BACKGROUND}.")
    found = {name: [x for x in segments if x.label != AMBIGUOUS] for name, segments in found.items()}
    if wrong := [name for name in WRONG_LABELS if split_of.pop(name, None)]:
        say(f"note: {' and '.join(wrong)} have wrong labels and are left out.")
    return untrimmed(split_of, "test", found, by_name(videos_in(videos)), classes, say)


def untrimmed(
    split_of: dict[str, str], test: str, found: segment_files.Videos, paths: Paths, classes: Sequence[str], say: Say
) -> Dataset:
    """Returns videos with segments. Frames outside all segments have the class `BACKGROUND`.

    Args:
        split_of: the split of each video.
        test: the split to test on, after training on the others.
        found: the segments of each video. Equal ones are kept once.
        paths: files of the videos, see `named_videos`.
        classes: classes that count even if no segment has them.
    """
    files = match(split_of, paths, say)
    items = []
    for name, path in files.paths.items():
        segments = tuple(sorted({(x.start, x.end, x.label) for x in found[name]}))
        items.append(
            Item(str(path), tuple(sorted({label for *_, label in segments})), split_of[name], segments=segments)
        )
    if doubled := sum(len(found[name]) for name in files.paths) - sum(len(item.segments) for item in items):
        say(f"note: {doubled} segments are listed twice; each is kept once.")
    if empty := sum(not item.segments for item in items):
        say(f"note: {empty} videos have no segments.")
    labels = sorted({BACKGROUND, *classes, *(label for item in items for label in item.labels)})
    folds = published_folds.train_and_test({item.split for item in items}, test)
    return Dataset(items, labels, "unchanged", folds=folds, problems={"missing": files.missing})


# Frame rates: those of the published labels. MS-TCN samples 50Salads at 15 per second, like the others
PROTOCOLS: dict[str, Callable[[Path | None, Path, Say], Dataset]] = {
    "ucf101": trimmed_protocols.ucf101,
    "hmdb51": trimmed_protocols.hmdb51,
    "kinetics": trimmed_protocols.kinetics,
    "ssv2": trimmed_protocols.ssv2,
    "jester": trimmed_protocols.jester,
    "diving48": trimmed_protocols.diving48,
    "charades": trimmed_protocols.charades,
    "epic_kitchens": trimmed_protocols.epic_kitchens,
    "activitynet": activitynet,
    "thumos14": thumos14,
    "50salads": partial(frame_labelled.find, fps=30, num_folds=5, stride=2),
    "gtea": partial(frame_labelled.find, fps=15, num_folds=4),
    "breakfast": partial(frame_labelled.find, fps=15, num_folds=4, name_of=frame_labelled.breakfast_name),
}
AS_A_FILE = ("activitynet", "kinetics")  # whose annotations may be one file; else they are a folder
