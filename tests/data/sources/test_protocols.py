import json

import pytest

from tests.data.test_segment_files import save
from vidjax.data.sources import protocols


def touch(folder, *names):
    for name in names:
        save(folder / name, name)  # the content is not read
    return folder


# -------------------------------------------------------------------------------------------------------- ActivityNet

DATABASE = {
    "sJFgo9H6zNo": {
        **{"duration": 10.0, "subset": "training", "resolution": "1280x720"},
        "url": "https://www.youtube.com/watch?v=sJFgo9H6zNo",
        "annotations": [
            {"segment": [4.5, 8.25], "label": "Fun sliding down"},
            {"segment": [4.5, 8.25], "label": "Fun sliding down"},  # twice
            {"segment": [1.0, 2.0], "label": "Fun sliding down"},
        ],
    },
    "ZZVrH3Hv1fM": {
        **{"duration": 9.0, "subset": "training"},
        "annotations": [{"segment": [0, 0], "label": "Washing hands"}],  # as in release 1.3
    },
    "v_RAndomIDs": {"duration": 5, "subset": "validation", "annotations": [{"segment": [1, 2], "label": "Ping-pong"}]},
    "NotOnYoutub": {"duration": 5, "subset": "validation", "annotations": [{"segment": [1, 2], "label": "Zumba"}]},
    "testtesttes": {"duration": 5, "subset": "testing", "annotations": []},
}


def test_activitynet(tmp_path):
    file = save(tmp_path / "activity_net.json", json.dumps({"version": "VERSION 1.3", "database": DATABASE}))
    names = "v_sJFgo9H6zNo.mp4", "val/v_v_RAndomIDs.mkv", "ZZVrH3Hv1fM.webm", "ZZVrH3Hv1fM.mp4", "other.mp4"
    videos, said = touch(tmp_path / "videos", *names), []
    dataset = protocols.activitynet(videos, tmp_path, said.append)  # the folder of the file
    assert [(item.path.removeprefix(f"{videos}/"), item.split, item.segments) for item in dataset.items] == [
        ("v_sJFgo9H6zNo.mp4", "train", ((1.0, 2.0, "Fun sliding down"), (4.5, 8.25, "Fun sliding down"))),
        ("ZZVrH3Hv1fM.mp4", "train", ()),
        ("val/v_v_RAndomIDs.mkv", "val", ((1.0, 2.0, "Ping-pong"),)),
    ]
    assert dataset.labels == ["Fun sliding down", "Ping-pong", "background"] and dataset.problems["missing"] == [
        "NotOnYoutub"
    ]
    assert dataset.folds == {"published": [{"train": ["train"], "test": ["val"]}]}
    assert [line.replace(f"{tmp_path}/", "") for line in said] == [
        "note: activity_net.json: segments without length, which are left out: 1. The first: Washing hands of "
        "ZZVrH3Hv1fM at 0 s.",
        "note: activity_net.json: segments that overlap: 1, of one class: 1. The first: Fun sliding down of "
        "sJFgo9H6zNo starts at 4.5 s, Fun sliding down ends at 8.25 s.",
        "note: the 1 videos of the subset testing have no public labels; left out.",
        "warning: 1 of 4 annotated videos are missing: NotOnYoutub.",
        "note: 1 videos have several files, of which the first is read, like videos/ZZVrH3Hv1fM.mp4, "
        "videos/ZZVrH3Hv1fM.webm.",
        "note: 1 segments are listed twice; each is kept once.",
        "note: 1 videos have no segments.",
    ]
    with pytest.raises(ValueError, match="None of the 4 annotated videos is there, like sJFgo9H6zNo; there are a"):
        protocols.activitynet(touch(tmp_path / "others", "a.mp4"), file, said.append)
    with pytest.raises(ValueError, match="Give --videos, the folder of the videos"):
        protocols.activitynet(None, file, said.append)
    save(tmp_path / "b.json", "{}")
    with pytest.raises(ValueError, match="has 2 files .*json; give the file of the annotations"):
        protocols.activitynet(videos, tmp_path, said.append)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"results": {"a": [{"segment": [1, 2], "label": "x", "score": 1}]}}, "holds detections; give the annotations"),
        ({"database": {"a": {"subset": "train", "annotations": []}}}, r"must be training, .* not for a \(train\)"),
        ({"database": {"a": {"subset": "training", "annotations": [{"segment": [2, 1], "label": "x"}]}}}, "not after"),
    ],
)
def test_wrong_annotations_of_activitynet(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        protocols.activitynet(tmp_path, save(tmp_path / "a.json", json.dumps(content)), lambda _: None)


# ----------------------------------------------------------------------------------------------------------- THUMOS14


def test_thumos14(tmp_path):
    val, test = tmp_path / "validation/annotation", tmp_path / "test/annotations/annotation"  # as the archives unpack
    for name in protocols.segment_files.THUMOS14_CLASSES.values():
        save(val / f"{name}_val.txt", "video_validation_0000266  72.8 76.4\n")
        save(test / f"{name}_test.txt", "video_test_0000278  10.0 20.5\n")
    save(test / "CricketShot_test.txt", "video_test_0001496  1.0 2.0\nvideo_test_0000004  3.5 4.0\n")
    save(test / "Ambiguous_test.txt", "video_test_0000278  0.0 1.4\nvideo_test_0001292  5.0 6.0\n")
    (test / "GolfSwing_test.txt").unlink()
    names = [f"video_test_000{x}.mp4" for x in ("0278", "0004", "1292", "1496")]
    videos, said = touch(tmp_path / "videos", "video_validation_0000266.mp4", *names), []
    dataset = protocols.thumos14(videos, tmp_path, said.append)
    segments = {item.path[-8:-4]: (item.split, item.segments) for item in dataset.items}
    assert segments["0004"] == ("test", ((3.5, 4.0, "CricketShot"),)) and segments["1292"] == ("test", ())
    assert segments["0266"][0] == "val" and len(segments["0266"][1]) == 20
    assert len(segments["0278"][1]) == 18 and "1496" not in segments
    assert len(dataset.labels) == 21 and "background" in dataset.labels and "Ambiguous" not in dataset.labels
    assert dataset.folds == {"published": [{"train": ["val"], "test": ["test"]}]}
    said = [line.replace(f"{tmp_path}", "D") for line in said if "overlap" not in line]
    assert said == [
        "warning: D has no GolfSwing_test.txt.",
        "note: 2 segments are Ambiguous; they are left out, so that their frames are background.",
        "note: video_test_0001496 have wrong labels and are left out.",
        "note: 1 videos have no segments.",
    ]
    save(val / "Billiard_val.txt", "video_validation_0000266  72.8 76.4\n")
    with pytest.raises(ValueError, match="unknown labels Billiard; choose from BaseballPitch"):
        protocols.thumos14(videos, tmp_path, said.append)
    save(val / "Billiard_val.txt", "video_0000266  72.8 76.4\n").rename(val / "Billiards_val.txt")
    with pytest.raises(ValueError, match="the video video_0000266 is not named like video_test_0000004"):
        protocols.thumos14(videos, tmp_path, said.append)
    with pytest.raises(ValueError, match="has no file like Billiards_test.txt"):
        protocols.thumos14(videos, videos, said.append)


def test_real_annotations_of_thumos14(shared_data, tmp_path):
    """3,007 and 3,358 segments are published; 47 of the latter are those of the two videos with wrong labels."""
    files = shared_data.glob("thumos14/temporal_annotations_*/*.txt")
    names = {f"{line.split()[0]}.mp4" for path in files for line in path.read_text().splitlines()}
    said = []
    dataset = protocols.thumos14(touch(tmp_path, *names), shared_data / "thumos14", said.append)
    found = {split: [item for item in dataset.items if item.split == split] for split in ("val", "test")}
    assert {split: len(items) for split, items in found.items()} == {"val": 200, "test": 211}
    assert {split: sum(len(item.segments) for item in items) for split, items in found.items()} == {
        "val": 3007,
        "test": 3358 - 47,
    }
    assert [item.path[-11:-4] for item in dataset.items if not item.segments] == ["0001292"] and not dataset.problems[
        "missing"
    ]
