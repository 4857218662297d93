import numpy as np
import pytest

from tests.data.test_segment_files import save
from vidjax.data import dataset_info, feature_files, make_records, pipeline, shards, video
from vidjax.data.sources import frame_labelled, protocols
from vidjax.data.sources.items import Steps

VIDEOS = [f"rgb-0{person}-{number}" for person in range(1, 6) for number in (1, 2)]
CLASSES = ["cut_tomato", "place_tomato_into_bowl", "action_start", "action_end"]
LABELS = ["action_start"] * 5 + ["cut_tomato"] * 7 + ["action_end"] * 3


@pytest.fixture
def salads(tmp_path):
    """50Salads in small: ten videos of 15 labelled frames, five folds; features of video v at step t are (v, t, 1)."""
    root = tmp_path / "50salads"
    save(root / "mapping.txt", "".join(f"{number} {name}\n" for number, name in enumerate(CLASSES)))
    (root / "features").mkdir()
    for number, name in enumerate(VIDEOS):
        save(root / f"groundTruth/{name}.txt", "\n".join(LABELS) + "\n")
        np.save(root / f"features/{name}.npy", np.array([(number, t, 1) for t in range(15)], np.float32).T)
    for fold in range(1, 6):
        tested = VIDEOS[2 * fold - 2 : 2 * fold]
        for role, names in (("test", tested), ("train", [x for x in VIDEOS if x not in tested])):
            save(root / f"splits/{role}.split{fold}.bundle", "".join(f"{name}.txt\n" for name in names))
    return root


def find(root, videos=None, name="50salads"):
    said = []
    return protocols.PROTOCOLS[name](videos, root, said.append), said


def make(*arguments):
    make_records.make_records(make_records.parse_args([*map(str, arguments), "--workers", "1"]))


def test_features_become_records(salads, tmp_path, capsys):
    """Every second frame is kept, as MS-TCN does: of 15, the frames 0, 2, ..., 14."""
    make("50salads", "--annotations", salads, "--out", tmp_path / "out")
    assert "kept at one of 2 frames, 15 per second" in capsys.readouterr().out
    records = pipeline.open_records(tmp_path / "out", ["split2"])
    info = records.info
    assert info.labels == CLASSES and info.horizontal_flip == "forbidden"
    assert info.inputs == {
        **{"prefix": "RGB", "width": 3, "layer": "features", "source": "published features", "clip": {}}
    }
    assert info.folds["published"][1] == {"train": ["split1", "split3", "split4", "split5"], "test": ["split2"]}
    assert len(records) == 2 and len(info.folds["published"]) == 5
    example = records[1]
    np.testing.assert_array_equal(example.features["RGB"], [(3, t, 1) for t in range(0, 15, 2)])
    assert list(example.frame_labels) == [2, 2, 2, 0, 0, 0, 3, 3]  # of the frames 0, 2, 4; 6, 8, 10; 12, 14
    assert [x[2:] for x in example.segments] == [(2, "action_start"), (0, "cut_tomato"), (3, "action_end")]
    assert (example.segments[1].start, example.segments[1].end) == pytest.approx((5 / 30, 12 / 30), abs=1e-6)
    assert example.feature_times["RGB"] == pytest.approx([(t + 0.5) / 30 for t in range(0, 15, 2)], abs=1e-6)
    with pytest.raises(ValueError, match="--fps and --flow are for videos"):
        make("50salads", "--annotations", salads, "--out", tmp_path / "other", "--fps", 5)


@pytest.mark.parametrize(
    ("steps", "kept", "length", "note"),
    [
        (8, Steps(30, 2, 1), 15, "the features have a step per two frames; every second label is kept: 1 of 10"),
        (7, Steps(30, 2, 1), 14, "the features have a step per two frames; every second label is kept: 1 of 10"),
        (13, Steps(30, 2, 2), 13, "cut to the shorter: 1 of 10 videos, like rgb-01-1 (15 labels, 13 steps)"),
        (16, Steps(30, 2, 2), 15, "cut to the shorter: 1 of 10 videos, like rgb-01-1 (15 labels, 16 steps)"),
    ],
)
def test_labels_and_features_of_different_length(steps, kept, length, note, salads):
    np.save(salads / "features/rgb-01-1.npy", np.zeros((3, steps), np.float32))
    dataset, said = find(salads)
    item = dataset.items[0]
    assert item.steps == kept and round(item.end * 30) == length and any(note in line for line in said)
    example = feature_files.read_example(item, dataset.labels)
    assert len(example.frame_labels) == len(example.features["RGB"]) == -(-length // 2)


def wrong_features(root):
    np.save(root / "features/rgb-01-1.npy", np.zeros((100, 3), np.float32).T)


def another_width(root):
    np.save(root / "features/rgb-01-1.npy", np.zeros((4, 15), np.float32))


def no_features(root):
    (root / "features").rename(root / "other")


def unknown_class(root):
    save(root / "groundTruth/rgb-02-1.txt", "cut_tomatoe\n" * 15)


def no_labels(root):
    (root / "groundTruth/rgb-02-1.txt").unlink()


def no_folds(root):
    (root / "splits").rename(root / "other")


def half_a_fold(root):
    (root / "splits/train.split3.bundle").unlink()


def both_roles(root):
    save(root / "splits/train.split3.bundle", "rgb-03-1.txt\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong_features, r"rgb-01-1.npy has the axes \(3, 100\), \(D, time steps\), but its video has 15 labels"),
        (another_width, "has features of several widths D: 4, 3"),
        (no_features, "features has no features VIDEO.npy; give --videos"),
        (unknown_class, r"mapping misses cut_tomatoe \(.*rgb-02-1.txt, line 1\)"),
        (no_labels, "rgb-02-1.txt does not exist"),
        (no_folds, "splits has no file test.split1.bundle"),
        (half_a_fold, "train.split3.bundle does not exist"),
        (both_roles, "fold 3 trains and tests on rgb-03-1; correct a bundle"),
    ],
)
def test_wrong_files(spoil, message, salads):
    spoil(salads)
    with pytest.raises(ValueError, match=message):
        find(salads)


def test_missing_and_unused_videos(salads):
    """Video 2-1 has no features, and fold 4 has lost the test videos, which the other folds do not train on."""
    for name in ("rgb-02-1", "rgb-04-1", "rgb-04-2"):
        (salads / f"features/{name}.npy").unlink()
    save(salads / "groundTruth/rgb-27-1.txt", "cut_tomato\n")
    dataset, said = find(salads)
    assert dataset.problems["missing"] == ["rgb-02-1", "rgb-04-1", "rgb-04-2"] and len(dataset.items) == 7
    assert dataset.folds["published"][0] == {"train": ["split2", "split3", "split5"], "test": ["split1"]}
    assert dataset.folds["published"][3] == {"train": ["split1", "split2", "split3", "split5"], "test": ["split4"]}
    assert said[:2] == [
        "warning: 3 of 10 annotated videos are missing: rgb-02-1, rgb-04-1, rgb-04-2.",
        "warning: 1 labelled videos are in no bundle and are left out: rgb-27-1.",
    ]


def test_folds_that_are_no_partition(tmp_path):
    """Bundles with a comment and folders: a is tested twice, b never, c in fold 2 only, not being used in fold 1."""
    bundles = {"train.split1": "b", "test.split1": "a", "train.split2": "b", "test.split2": "ac"}
    for name, videos in bundles.items():
        lines = "".join(f"./data/groundTruth/{video}.txt\n" for video in videos)
        save(tmp_path / f"{name}.bundle", f"#bundle\n{lines}")
    said = []
    split_of, folds = frame_labelled.read_folds(tmp_path, 2, said.append)
    assert split_of == {"a": "split1_2", "b": "untested", "c": "split2_not_in_1"}
    assert folds == [
        {"train": ["untested"], "test": ["split1_2"]},
        {"train": ["untested"], "test": ["split1_2", "split2_not_in_1"]},
    ]
    assert "do not test each video once and train on it otherwise: a, b, c." in said[0]
    frame_labelled.read_folds(tmp_path, 4, said.append)
    assert "has the folds 1, 2 of 1 to 4" in said[1]


def test_videos_become_records(salads, tmp_path, capsys):
    """Videos of 17 frames with 15 labels; at 15 frames per second, with the labels 1, 3, ..., 13, then the last."""
    for name in VIDEOS[:3]:
        video.write_video(tmp_path / f"rgb/{name}.mp4", np.full((17, 16, 16, 3), 90, np.uint8), 30)
    save(tmp_path / f"rgb/{VIDEOS[3]}.mp4", "not a video")
    arguments = ("50salads", "--annotations", salads, "--videos", tmp_path / "rgb", "--out", tmp_path / "out")
    make(*arguments, "--fps", 15, "--max_bad", 0.5)
    assert "cut to the shorter: 3 of 4 videos, like rgb-01-1 (15 labels, 17 frames)" in capsys.readouterr().out
    records = pipeline.open_records(tmp_path / "out", ["split1", "split2"])
    assert len(records) == 3 and records.info.labels == CLASSES and records.info.horizontal_flip == "unchanged"
    assert list(records[0].frame_labels) == [2, 2, 0, 0, 0, 0, 3, 3] and len(records[0].images) == 8
    description = dataset_info.read_description(tmp_path / "out")
    assert description["missing"] == VIDEOS[4:] and "rgb-02-2.mp4 is not a video" in description["skipped"][0][1]
    assert description["arguments"]["videos"] == str(tmp_path / "rgb")

    dataset, _ = find(salads, tmp_path / "rgb")
    example, warning = shards.read_example(dataset.items[0], shards.Encoding(0, 16, "png", 90), dataset.labels)
    assert list(example.frame_labels) == [2] * 5 + [0] * 7 + [3] * 3 and len(example.images) == 15 and not warning


def test_videos_of_another_length(salads, tmp_path):
    video.write_video(tmp_path / "rgb/rgb-01-1.mp4", np.zeros((60, 16, 16, 3), np.uint8), 30)
    with pytest.raises(ValueError, match="rgb-01-1.mp4 has 60 frames, but 15 labels"):
        find(salads, tmp_path / "rgb")


def test_names_of_breakfast(tmp_path):
    names = {
        "P03/cam01/P03_cereals.avi": "P03_cam01_P03_cereals",
        "P03/stereo/P03_tea_ch0.avi": "P03_stereo01_P03_tea",
        "videos/P03_webcam02_P03_tea.avi": "P03_webcam02_P03_tea",
    }
    assert {name: frame_labelled.breakfast_name(tmp_path / name) for name in names} == names


def test_arguments(salads, tmp_path):
    for arguments, message in (
        (("gtea",), "gtea: no --annotations; give the published annotations. A folder of that name is ./gtea"),
        (("gtea", "--annotations", tmp_path / "x"), "--annotations .*x does not exist"),
        (("gtea", "--annotations", salads / "mapping.txt"), "mapping.txt is a file; give the folder"),
        (("gtea", "--annotations", salads, "--videos", tmp_path / "x"), "--videos .*x is not a directory"),
        (("motion", "--annotations", salads), "--videos and --annotations are for published datasets"),
        (("gtea", "--annotations", salads, "--untrimmed"), "--untrimmed is for a CSV or list"),
    ):
        with pytest.raises(ValueError, match=message):
            make(*arguments, "--out", tmp_path / "out")
