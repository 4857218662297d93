"""Published datasets of clips, in the files of their authors: see `PROTOCOLS` in `protocols`.

    ucf101         classInd.txt, trainlist01.txt, testlist01.txt, ... 03     1 ApplyEyeMakeup;  CLASS/VIDEO.avi 1
    hmdb51         CLASS_test_split1.txt ... 3                               VIDEO.avi 0|1|2
    kinetics       train.csv, validate.csv                                   label,youtube_id,time_start,time_end,split
    ssv2           *train.json, *validation.json, *labels.json               [{"id", "label", "template", ...}]
    jester         *train.csv, *validation.csv, *labels.csv                  34870;Drumming Fingers
    diving48       *train.json, *test.json, *vocab.json                      [{"vid_name", "label", ...}]
    charades       Charades_v1_{train,test}.csv, Charades_v1_classes.txt     id,...,actions,length
    epic_kitchens  EPIC_100_{train,validation}.csv, EPIC_100_{verb,noun}_classes.csv

Each function maps (videos, annotations, say) to a `Dataset`. Classes have the order of their authors, so that indices
are those of published networks. Files are found at any depth of the folder `annotations`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vidjax.data.sources import class_names, mirroring, published_folds
from vidjax.data.sources import kinetics as kinetics_files
from vidjax.data.sources.annotation_files import find_file, read_csv, read_json, seconds
from vidjax.data.sources.items import Dataset, Item
from vidjax.data.sources.named_videos import Paths, by_name, match, plain, shown, videos_in
from vidjax.data.sources.text_files import numbered_lines
from vidjax.data.sources.untrimmed import BACKGROUND

Say = Callable[[str], None]


class Row(NamedTuple):
    """One line of annotations: a video, its class as written, and its split."""

    video: str
    label: str
    split: str


# ---------------------------------------------------------------------------------------------- several official splits


def ucf101(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """UCF101 (Soomro et al., 2012): 13,320 videos v_CLASS_g01_c01.avi, three splits by groups."""
    names, _ = class_names.read_class_file(find_file(annotations, "classInd.txt"), say)
    rows = []
    for number in (1, 2, 3):
        for role in ("train", "test"):
            for where, line in numbered_lines(find_file(annotations, f"{role}list{number:02}.txt"), say):
                path = PurePosixPath(line.split()[0].replace("\\", "/"))
                if len(path.parts) < 2:
                    raise ValueError(f"{where}: {line!r} is not `CLASS/VIDEO.avi`.")
                rows.append((Row(path.stem, path.parts[-2], role), number))
    return of_folds(rows, [names[number] for number in sorted(names)], by_name(videos_in(videos)), say)


def hmdb51(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """HMDB51 (Kuehne et al., 2011): 6,766 videos CLASS/VIDEO.avi; a split trains 70 and tests 30 per class."""
    files = sorted(annotations.rglob("*_test_split[123].txt"))
    if not files:
        raise ValueError(f"{annotations} has no file like brush_hair_test_split1.txt, at any depth.")
    rows, classes = [], sorted({file.stem[: -len("_test_split1")] for file in files})
    for file in files:
        label, number = file.stem[: -len("_test_split1")], int(file.stem[-1])
        for where, line in numbered_lines(file, say):
            name, _, role = line.rpartition(" ")
            if not name or role not in ("0", "1", "2"):
                raise ValueError(f"{where}: {line!r} is not `VIDEO.avi 0`, 1 (train) or 2 (test).")
            row = Row(f"{label}/{PurePosixPath(name.strip()).stem}", label, ("", "train", "test")[int(role)])
            rows.append((row, number))
    if len(files) != 3 * len(classes):
        say(f"warning: {annotations} has {len(files)} files for {len(classes)} classes; three each are published.")
    return of_folds(rows, classes, by_name(videos_in(videos), lambda path: f"{path.parent.name}/{path.stem}"), say)


def of_folds(rows: Iterable[tuple[Row, int]], classes: Sequence[str], paths: Paths, say: Say) -> Dataset:
    """Returns videos that several official splits train or test; a row is of one of them, by number.

    A video that a split both trains and tests is only tested. A video that no split uses is left out.
    """
    roles, known, doubled, unknown = defaultdict(dict), {}, [], []
    spelling = {plain(name): name for name in classes}
    for row, number in rows:
        if plain(row.label) not in spelling:
            unknown.append(f"{row.video} ({row.label})")
            continue
        label = known.setdefault(row.video, spelling[plain(row.label)])
        if number in roles[row.video] or label != spelling[plain(row.label)]:
            doubled.append(row.video)
        if row.split and roles[row.video].get(number) != "test":
            roles[row.video][number] = row.split
    roles = {name: of_video for name, of_video in roles.items() if of_video}
    split_of, folds = published_folds.from_roles(roles, (1, 2, 3))
    found = match(split_of, paths, say, loosely=True)
    items = [Item(str(path), (known[name],), split_of[name]) for name, path in found.paths.items()]
    folds = published_folds.by_name(folds, {item.split for item in items})
    return make_dataset(items, classes, folds, found, doubled, unknown, say)


# --------------------------------------------------------------------------------------------------- one official split


def kinetics(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """Kinetics-400, 600, 700 (Kay et al., 2017; Carreira et al., 2018, 2019): splits train and val.

    Clips are files ID_000010_000020.*, ID_10_20.*, or whole videos ID.*, of which the stretch is read.
    """
    files = [annotations] if annotations.is_file() else sorted(annotations.rglob("*.csv"))
    names = {"train": "train", "val": "val", "validate": "val", "validation": "val"}
    rows, classes, unlabelled, doubled = {}, set(), 0, []
    for row in (row for file in files for row in read_csv(file, ("youtube_id", "time_start", "time_end"), say)):
        split, label = names.get(row.get("split", ""), "test"), row.get("label", "")
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        name = f"{row['youtube_id']}_{start:06}_{end:06}"
        unlabelled += not label
        doubled += [name] if name in rows else []
        if label:
            classes.add(label)
            rows.setdefault(name, (row["youtube_id"], start, end, label, split))
    if not rows:
        raise ValueError(f"{annotations} has no CSV with a label: it needs label,youtube_id,time_start,time_end,split.")
    if unlabelled:
        say(f"note: {unlabelled} clips of the test set have no label and are left out.")
    if len(classes) not in (400, 600, 700):
        say(f"warning: the CSVs name {len(classes)} classes; Kinetics has 400, 600 or 700.")
    if videos is None:
        raise ValueError("Give --videos, the folder of the videos.")
    there, paths, whole = kinetics_files.list_files(videos), {}, set()
    for name, (youtube_id, start, end, label, split) in rows.items():
        path, is_trimmed = kinetics_files.find_file(there, youtube_id, start, end, {label, split})
        if path:
            paths[name] = [path]
            whole |= set() if is_trimmed else {name}
    found, items = match(rows, paths, say), []
    for name, path in found.paths.items():
        _, start, end, label, split = rows[name]
        part = {"start": float(start), "end": float(end)} if name in whole else {}
        items.append(Item(str(path), (label,), split, **part))
    folds = published_folds.train_and_test({item.split for item in items}, "val")
    return make_dataset(items, sorted(classes), folds, found, doubled, [], say)


def ssv2(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """Something-Something V2 (Goyal et al., 2017): splits train and val; a class is a template without its brackets.

    Mirroring swaps "left" and "right".
    """
    numbers = read_json(find_file(annotations, "*labels.json"))
    classes = sorted(numbers, key=lambda name: int(numbers[name]))
    rows = [
        Row(str(x["id"]), re.sub(r"[\[\]]", "", x["template"]), split)
        for split, pattern in (("train", "*train.json"), ("val", "*validation.json"))
        for x in read_json(find_file(annotations, pattern), ("id", "template"))
    ]
    return of_splits(rows, classes, by_name(videos_in(videos)), "val", say, mirroring.swapped(classes))


def jester(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """Jester (Materzynska et al., 2019): splits train and val; videos are folders ID of JPEGs at 12 frames per second.

    Mirroring swaps left and right, and clockwise and counterclockwise.
    """
    classes = [line for _, line in numbered_lines(find_file(annotations, "*labels.csv"), say)]
    rows = []
    for split, pattern in (("train", "*train.csv"), ("val", "*validation.csv")):
        for where, line in numbered_lines(find_file(annotations, pattern), say):
            name, separator, label = line.partition(";")
            if not separator:
                raise ValueError(f"{where}: {line!r} is not `34870;Drumming Fingers`.")
            rows.append(Row(name, label, split))
    return of_splits(rows, classes, by_name(videos_in(videos)), "val", say, mirroring.swapped(classes))


def diving48(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """Diving48 (Li et al., 2018): splits train and test. Classes like Back+15som+05Twis+FREE; mirroring keeps them."""
    classes = ["+".join(parts) for parts in read_json(find_file(annotations, "*vocab.json"))]
    named = dict(enumerate(classes))
    rows = [
        Row(x["vid_name"], named.get(x["label"], str(x["label"])), split)
        for split in ("train", "test")
        for x in read_json(find_file(annotations, f"*_{split}.json"), ("vid_name", "label"))
    ]
    return of_splits(rows, classes, by_name(videos_in(videos)), "test", say)


def of_splits(
    rows: Sequence[Row], classes: Sequence[str], paths: Paths, test: str, say: Say, flip: str | list[int] = "unchanged"
) -> Dataset:
    """Returns videos of one official split each. Of a video that is listed twice, the row of the test split counts."""
    known, doubled, unknown, spelling = {}, [], [], {plain(name): name for name in classes}
    for row in rows:
        label = row.label if row.label in classes else spelling.get(plain(row.label))
        if label is None:
            unknown.append(f"{row.video} ({row.label})")
            continue
        doubled += [row.video] if row.video in known else []
        if row.video not in known or row.split == test != known[row.video].split:
            known[row.video] = row._replace(label=label)
    found = match(known, paths, say)
    items = [Item(str(path), (known[name].label,), known[name].split) for name, path in found.paths.items()]
    folds = published_folds.train_and_test({item.split for item in items}, test)
    return make_dataset(items, classes, folds, found, doubled, unknown, say, flip)


# ------------------------------------------------------------------------------------------------------- several labels


def charades(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """Charades (Sigurdsson et al., 2016): splits train and test; 157 classes with times, any number per video.

    The class background comes last: frames outside all segments. Segments without length, or after the video, count for
    the labels of their video only.
    """
    lines = [line.partition(" ") for _, line in numbered_lines(find_file(annotations, "Charades_v1_classes.txt"), say)]
    names = {number: name.strip() for number, _, name in lines}
    of_video, doubled, unknown, odd = {}, [], [], []
    for split in ("test", "train"):
        for row in read_csv(find_file(annotations, f"Charades_v1_{split}.csv"), ("id", "actions", "length"), say):
            doubled += [row["id"]] if row["id"] in of_video else []
            segments = [action.split() for action in row["actions"].split(";") if action]
            unknown += [f"{row['id']} ({x[0]})" for x in segments if x[0] not in names]
            times = [(float(start), float(end), names[x]) for x, start, end in segments if x in names]
            kept = [x for x in times if x[0] < min(x[1], float(row["length"]))]
            odd += [row["id"]] * (len(times) - len(kept))
            of_video.setdefault(row["id"], (split, {x[2] for x in times}, tuple(sorted(set(kept)))))
    if odd:
        say(f"note: {len(odd)} segments have no length or begin after their video, like one of {odd[0]}; left out.")
    found = match(of_video, by_name(videos_in(videos)), say)
    items = []
    for name, path in found.paths.items():
        split, labels, segments = of_video[name]
        items.append(Item(str(path), tuple(sorted(labels)), split, segments=segments))
    if empty := sum(not item.labels for item in items):
        say(f"note: {empty} videos have no label.")
    folds = published_folds.train_and_test({item.split for item in items}, "test")
    return make_dataset(items, [*names.values(), BACKGROUND], folds, found, doubled, unknown, say)


def epic_kitchens(videos: Path | None, annotations: Path, say: Say) -> Dataset:
    """EPIC-KITCHENS-100 (Damen et al., 2022): splits train and val; a clip has a verb and a noun.

    The classes are those of the authors: 97 verbs `verb:take`, then 300 nouns `noun:plate`. Clips are stretches of
    videos P01_11.MP4.
    """
    classes = [
        f"{kind}:{row['key']}"
        for kind in ("verb", "noun")
        for row in read_csv(find_file(annotations, f"EPIC_100_{kind}_classes.csv"), ("id", "key"), say)
    ]
    num_verbs = sum(name.startswith("verb:") for name in classes)
    rows, doubled, unknown = {}, [], []
    needed = ("narration_id", "video_id", "start_timestamp", "stop_timestamp", "verb_class", "noun_class")
    for split, name in (("train", "EPIC_100_train.csv"), ("val", "EPIC_100_validation.csv")):
        for row in read_csv(find_file(annotations, name), needed, say):
            verb, noun = int(row["verb_class"]), num_verbs + int(row["noun_class"])
            if not (0 <= verb < num_verbs <= noun < len(classes)):
                unknown.append(f"{row['narration_id']} (verb {row['verb_class']}, noun {row['noun_class']})")
                continue
            doubled += [row["narration_id"]] if row["narration_id"] in rows else []
            start, end = seconds(row["start_timestamp"]), seconds(row["stop_timestamp"])
            rows[row["narration_id"]] = (row["video_id"], start, end, (classes[verb], classes[noun]), split)
    found = match((row[0] for row in rows.values()), by_name(videos_in(videos)), say)
    items = [
        Item(str(found.paths[video]), labels, split, start, end)
        for video, start, end, labels, split in rows.values()
        if video in found.paths
    ]
    if absent := len(rows) - len(items):
        say(f"note: {absent} of {len(rows)} clips are in missing videos.")
    folds = published_folds.train_and_test({item.split for item in items}, "val")
    return make_dataset(items, classes, folds, found, doubled, unknown, say)


# -------------------------------------------------------------------------------------------------------------- results


def make_dataset(items, classes, folds, found, doubled, unknown, say: Say, flip="unchanged") -> Dataset:
    """Returns the dataset, and reports rows that are doubled or have an unknown class."""
    if doubled:
        say(f"warning: {len(doubled)} videos are annotated twice; each is used once: {shown(doubled)}.")
    if unknown:
        say(f"warning: {len(unknown)} rows have an unknown class and are left out: {shown(unknown)}.")
    problems = {"missing": found.missing, "doubled": doubled, "misspelt": [*found.misspelt, *unknown]}
    return Dataset(items, list(classes), flip, folds=folds, problems=problems)
