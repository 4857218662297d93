from collections import Counter

import pytest

from vidjax.data.sources import folders
from vidjax.data.sources.items import Item


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def listed(directory, *files, **options):
    """Makes the files, and returns the number of videos by (split, class), and what was said."""
    for name in files:
        touch(directory / name)
    said = []
    items = folders.from_folder(directory, say=said.append, **options)
    return dict(Counter((item.split, item.labels[0]) for item in items)), said


def test_folder_of_class_folders(tmp_path):
    run, walk = touch(tmp_path / "run/b.mp4"), touch(tmp_path / "walk/day one/a.AVI")
    touch(tmp_path / "walk/notes.txt")
    touch(tmp_path / "walk/.hidden.mp4")
    touch(tmp_path / ".cache/c.mp4")
    assert folders.from_folder(tmp_path) == [Item(run, ("run",)), Item(walk, ("walk",))]


def test_folder_with_splits(tmp_path):
    train, test = touch(tmp_path / "train/run/a.mp4"), touch(tmp_path / "test/run/b.mp4")
    assert folders.from_folder(tmp_path) == [Item(test, ("run",), "test"), Item(train, ("run",), "train")]


def test_folder_errors(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a directory"):
        folders.from_folder(tmp_path / "nowhere")
    touch(tmp_path / "a.mp4")  # not in a class folder
    with pytest.raises(ValueError, match="has no videos: expected .*CLASS/video.mp4"):
        folders.from_folder(tmp_path)


@pytest.mark.parametrize(
    "names", [("Train", "Val", "Test"), ("TRAINING", "valid", "testing"), ("train_set", "Validation", "test_videos")]
)
def test_usual_names_of_splits(names, tmp_path):
    found, said = listed(tmp_path, *(f"{name}/{label}/1.mp4" for name in names for label in "ab"))
    assert found == {(split, label): 1 for split in ("train", "val", "test") for label in "ab"}
    assert sum(line.endswith("is the split train.") for line in said) == 1


def test_invalid_split_folders(tmp_path):
    with pytest.raises(ValueError, match=r"split folders \(test, train\) beside other folders with videos \(run\)"):
        listed(tmp_path / "a", "train/run/1.mp4", "test/run/2.mp4", "run/3.mp4")
    with pytest.raises(ValueError, match="Train and .*training both mean the split train: merge or rename"):
        listed(tmp_path / "b", "Train/run/1.mp4", "training/run/2.mp4")
    with pytest.raises(ValueError, match="2.mp4 is in no class folder: expected .*test/CLASS/2.mp4"):
        listed(tmp_path / "c", "train/1.mp4", "test/2.mp4")


def test_splits_inside_classes(tmp_path):
    files = [f"{label}/{split}/1.mp4" for label in ("run", "walk") for split in ("train", "test")]
    found, _ = listed(tmp_path, *files)
    assert found == {(split, label): 1 for split in ("train", "test") for label in ("run", "walk")}
    with pytest.raises(ValueError, match=r"run is a class with split folders \(test, train\) beside other videos"):
        listed(tmp_path, "run/2.mp4")


def test_other_folders_are_not_classes(tmp_path):
    files = ["run/1.mp4", "walk/2.mp4", "annotations/1.xml", "labels/mask.png", "__MACOSX/run/._1.mp4", "jump/1.txt"]
    found, said = listed(tmp_path, *files)
    assert found == {("", "run"): 1, ("", "walk"): 1}
    assert "no videos in annotations, jump of" in said[0]
    assert "labels has images and no videos; it is ignored" in said[1]
    found, said = listed(tmp_path / "splits", "Train/run/1.mp4", "Test/run/2.mp4", "annotations/1.xml", "stray.mp4")
    assert found == {("train", "run"): 1, ("test", "run"): 1}
    assert any("no videos in annotations" in line for line in said)
    assert "ignored: 1 videos or images outside class folders, like stray.mp4." in said


def test_a_folder_around_classes_or_splits(tmp_path):
    found, said = listed(
        tmp_path / "a", "UCF/videos/run/1.mp4", "UCF/videos/walk/1.mp4", "__MACOSX/UCF/x", "readme.txt"
    )
    assert found == {("", "run"): 1, ("", "walk"): 1}
    assert [line.split(" holds only the folder ")[1] for line in said[:2]] == [
        "UCF; reading its content.", "videos; reading its content.",
    ]  # fmt: skip
    found, _ = listed(tmp_path / "b", "data/train/run/1.mp4", "data/test/run/1.mp4")
    assert found == {("train", "run"): 1, ("test", "run"): 1}
    found, _ = listed(tmp_path / "c", "train/all/run/1.mp4", "train/all/walk/1.mp4")
    assert found == {("train", "run"): 1, ("train", "walk"): 1}
    found, _ = listed(tmp_path / "d", "run/1.mp4")  # one class, and no folder around it
    assert found == {("", "run"): 1}


def test_classes_that_splits_lack(tmp_path):
    _, said = listed(tmp_path, "train/run/1.mp4", "train/walk/1.mp4", "test/run/2.mp4", "test/jump/2.mp4")
    assert said == [
        "warning: the split test has no videos of walk.",
        "warning: the split train has no videos of jump.",
    ]


def frames(*videos):
    return [f"{name}/img_{i:05d}.jpg" for name in videos for i in range(1, 4)]


def test_frame_folders(tmp_path):
    found, said = listed(tmp_path, *frames("run/v1", "run/v2", "walk/person 1/v3"))
    assert found == {("", "run"): 2, ("", "walk"): 1}
    assert said[0].startswith("note: 3 folders of numbered images are the videos, like ")
    found, _ = listed(tmp_path, frame_folders=True)
    assert found == {("", "run"): 2, ("", "walk"): 1}
    found, _ = listed(tmp_path / "one class", *frames("run/v1", "run/v2"))
    assert found == {("", "run"): 2}
    found, _ = listed(tmp_path / "splits", *frames("train/run/v1", "test/run/v2"))
    assert found == {("train", "run"): 1, ("test", "run"): 1}


def test_invalid_frame_folders(tmp_path):
    files = frames("run", "walk")  # directly in what should be a class
    found, said = listed(tmp_path / "a", *files)
    assert found == {("", "run"): 3, ("", "walk"): 3}
    assert said[0].startswith("note: 6 images are videos of one frame")
    assert "numbered like the frames of one video. If each folder is a video, list" in said[1]
    with pytest.raises(ValueError, match="run has no folders of numbered images; expected .*run/VIDEO/frame_00001.jpg"):
        listed(tmp_path / "a", frame_folders=True)
    with pytest.raises(ValueError, match="folders of numbered images, like .*v1, and other images, like .*cat.jpg"):
        listed(tmp_path / "b", *frames("run/v1"), "run/other/cat.jpg", "walk/1.jpg")
    with pytest.raises(ValueError, match="images of .*other are not one numbered sequence"):
        listed(tmp_path / "b", frame_folders=True)
    with pytest.raises(ValueError, match="--frame_folders: .*run has a video file, .*a.mp4"):
        listed(tmp_path / "c", *frames("run/v1"), "run/a.mp4", frame_folders=True)


def test_the_same_folders_in_each_class_are_doubtful(tmp_path):
    files = [f"{camera}/{name}/1.mp4" for camera in ("camera1", "camera2") for name in ("run", "walk")]
    found, said = listed(tmp_path, *files)
    assert found == {("", "camera1"): 2, ("", "camera2"): 2}
    assert (
        "warning: camera1, camera2 hold folders of the same names (run, walk). If those are the classes, list"
        in said[-1]
    )


def test_images_beside_videos_are_ignored(tmp_path):
    found, said = listed(tmp_path, "run/1.mp4", "run/1.jpg", "walk/2.mp4", *frames("walk/thumbs"))
    assert found == {("", "run"): 1, ("", "walk"): 1}
    assert said[0].startswith("ignored: 4 images beside videos (thumbnails, or frames of the videos), like run/1.jpg")


def test_images_and_mixed_datasets(tmp_path):
    found, said = listed(tmp_path / "a", "cat/felix.jpg", "cat/tom.png", "dog/rex.jpg")
    assert found == {("", "cat"): 2, ("", "dog"): 1}
    assert said == [f"note: 3 images are videos of one frame, like {tmp_path}/a/cat/felix.jpg."]
    with pytest.raises(ValueError, match="mixes images, like .*felix.jpg; video files, like .*1.mp4. Remove one kind"):
        listed(tmp_path / "b", "run/1.mp4", "cat/felix.jpg")
    with pytest.raises(ValueError, match="mixes frame folders, like .*v1; video files, like .*1.mp4"):
        listed(tmp_path / "c", *frames("run/v1"), "walk/1.mp4")


def test_a_class_without_splits_beside_one_with_splits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="y/1.mp4 has no split, but other videos have one"):
        listed(tmp_path, "x/train/1.mp4", "x/test/2.mp4", "y/1.mp4")


@pytest.mark.parametrize("ending", ["v0.mp4", "v0/img_1.jpg"])
def test_folders_that_look_like_splits_are_not_classes(ending, tmp_path):
    names = [f"{split}/{label}/{ending}" for split in ("ucf101_train", "ucf101_test") for label in ("x", "y")]
    with pytest.raises(ValueError, match="look like splits .*: name them train, val and test"):
        listed(tmp_path, *names, *(name.replace("img_1", "img_2") for name in names))


def test_optical_flow_beside_frames_is_not_a_video(tmp_path):
    names = [f"{label}/v0/{kind}/img_{i}.jpg" for label in "ab" for kind in ("rgb", "flow_x", "flow_y") for i in (1, 2)]
    found, said = listed(tmp_path, *names)
    assert found == {("", "a"): 1, ("", "b"): 1}
    assert any("folders of optical flow beside frames" in line for line in said)


def test_classes_below_other_folders_of_frame_folders_are_doubted(tmp_path):
    names = [f"{person}/{label}/v0/img_{i}.jpg" for person in ("s01", "s02") for label in "xy" for i in (1, 2)]
    _, said = listed(tmp_path, *names)
    assert any("hold folders of the same names (x, y)" in line for line in said)
