import shutil
import zipfile

import cv2
import numpy as np
import pytest

from vidjax.data import feature_files
from vidjax.data.sources import omniglot


def png(value: int) -> bytes:
    return cv2.imencode(".png", np.full((105, 105), value, np.uint8))[1].tobytes()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def zipped(folder):
    """Replaces a folder by a zip file that holds it, as its authors do."""
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    shutil.rmtree(folder)


@pytest.fixture
def drawings(tmp_path):
    """Two sets with images and strokes of one character of Greek, drawn twice; the second set also has Tagalog."""
    directory = tmp_path / "omniglot/python"
    for place in ("small1/Greek", "small2/Greek", "small2/Tagalog"):
        for drawer in ("01", "02"):
            name = f"background_{place}/character07/0400_{drawer}"
            write(directory / f"images_{name}.png", png(255))
            write(directory / f"strokes_{name}.txt", b"START\n1,-2,0\n3,-4,500\nBREAK\n")
    write(directory / "strokes_background_small1/.DS_Store", b"")
    write(directory / "__MACOSX/strokes_background_small1/Greek/character07/._0400_01.txt", b"")
    return directory


def rows(dataset):
    return [(item.split, item.labels, item.path) for item in dataset.items]


def test_images_in_folders_stay_where_they_are(drawings, tmp_path):
    notes = []
    dataset = omniglot.images(drawings.parent, tmp_path / "out", notes.append)
    greek, tagalog = (f"{drawings}/images_background_{x}/character07" for x in ("small1/Greek", "small2/Tagalog"))
    assert rows(dataset) == [
        ("train", ("Greek/character07",), f"{greek}/0400_01.png"),
        ("train", ("Greek/character07",), f"{greek}/0400_02.png"),
        ("test", ("Tagalog/character07",), f"{tagalog}/0400_01.png"),
        ("test", ("Tagalog/character07",), f"{tagalog}/0400_02.png"),
    ]
    assert dataset.labels == ["Greek/character07", "Tagalog/character07"]
    assert dataset.horizontal_flip == "forbidden" and dataset.inputs is None
    assert notes == ["note: Greek of background_small2 left out: another set has the same drawings."]


def test_images_in_zip_files_are_unpacked(drawings, tmp_path):
    zipped(drawings / "images_background_small1")
    zipped(drawings / "images_background_small2")
    dataset = omniglot.images(drawings, tmp_path / "out", print)
    images = tmp_path / "out/images"
    assert rows(dataset)[:3:2] == [
        ("train", ("Greek/character07",), f"{images}/train/Greek/character07/0400_01.png"),
        ("test", ("Tagalog/character07",), f"{images}/test/Tagalog/character07/0400_01.png"),
    ]
    assert all(open(item.path, "rb").read() == png(255) for item in dataset.items)


def test_a_folder_wins_over_the_zip_file_that_it_is_from(drawings, tmp_path):
    shutil.make_archive(str(drawings / "images_background_small1"), "zip", drawings, "images_background_small1")
    dataset = omniglot.images(drawings, tmp_path / "out", print)
    assert len(dataset.items) == 4 and not (tmp_path / "out").exists()


def test_a_zip_file_cannot_write_elsewhere(tmp_path):
    directory, out = tmp_path / "zips", tmp_path / "a/b/c/d/out"
    directory.mkdir()
    names = ["images_x/../character01/0001_01.png", "images_x/A/character01/../../../0001_02.png", "../../0001_03.png"]
    names += ["images_x/A\\..\\B/character01/0001_04.png", "../images_x/A/character01/0001_05.png"]
    with zipfile.ZipFile(directory / "images_x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, png(0))
    omniglot.images(directory, out, print)
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")]
    assert written == ["a/b/c/d/out/images/x/A/character01/0001_05.png"]


def test_other_sets_keep_their_names(tmp_path):
    write(tmp_path / "images_evaluation/Angelic/character01/0965_01.png", png(255))
    write(tmp_path / "images_background/Greek/character01/0394_01.png", png(255))
    write(tmp_path / "images_background_small1/Greek/character01/0394_01.png", png(255))
    items = omniglot.images(tmp_path, tmp_path / "out", print).items
    assert [(item.split, *item.labels) for item in items] == [
        ("train", "Greek/character01"),
        ("evaluation", "Angelic/character01"),
    ]


def test_strokes_become_videos(drawings, tmp_path):
    dataset = omniglot.pen_videos(drawings, tmp_path / "out", print, pen_only=True, num_workers=1)
    videos = tmp_path / "out/videos"
    assert rows(dataset)[::3] == [
        ("train", ("Greek/character07",), f"{videos}/train/Greek/character07/0400_01.mp4"),
        ("test", ("Tagalog/character07",), f"{videos}/test/Tagalog/character07/0400_02.mp4"),
    ]
    assert sorted(videos.rglob("*.mp4")) == sorted(videos / item.path for item in dataset.items)


def test_strokes_in_zip_files_become_features(drawings, tmp_path):
    zipped(drawings / "strokes_background_small1")
    dataset = omniglot.trajectories(drawings, tmp_path / "out", print)
    item = dataset.items[0]
    assert item.path == str(tmp_path / "out/trajectories/train/Greek/character07/0400_01.npy")
    assert item.steps is not None and item.segments is None and dataset.inputs["width"] == 4
    x, y, pen, time = feature_files.open_features(item.path)
    assert pen.tolist() == [1, 0] and time.tolist() == [0, 1] and x[0] < x[1] and y[0] < y[1]


def test_an_invalid_file_in_a_zip_file_is_named(drawings, tmp_path):
    write(drawings / "strokes_background_small1/Greek/character07/0400_02.txt", b"START\nx\n")
    zipped(drawings / "strokes_background_small1")
    with pytest.raises(ValueError, match=r"small1.zip/strokes_background_small1/.*/0400_02.txt, line 2: 'x' must be"):
        omniglot.trajectories(drawings, tmp_path / "out", print)


def test_a_directory_without_drawings_is_refused(drawings, tmp_path):
    with pytest.raises(ValueError, match="missing is not a directory"):
        omniglot.find(tmp_path / "missing", "images", print)
    with pytest.raises(ValueError, match=r"neither strokes_background_small1/ALPHABET.* nor strokes_.*small1.zip"):
        omniglot.find(drawings / "images_background_small1", "strokes", print)
    write(drawings / "images_evaluation.zip", b"no zip")
    with pytest.raises(ValueError, match="images_evaluation.zip: File is not a zip file: download it again"):
        omniglot.find(drawings, "images", print)


@pytest.fixture
def run(tmp_path):
    """A run of two characters; the first test image shows the second one."""
    folder = tmp_path / "runs/all_runs/run01"
    for i in (1, 2):
        write(folder / f"training/class0{i}.png", png(10 * i))
        write(folder / f"test/item0{i}.png", png(100 + i))
    pairs = "run01/test/item01.png run01/training/class02.png\nrun01/test/item02.png run01/training/class01.png\n"
    write(folder / "class_labels.txt", pairs.encode())
    return folder


def test_runs_are_read_from_folders_and_from_the_zip_file(run):
    for _ in range(2):
        (found,) = omniglot.read_runs(run.parents[1])
        assert found.training[:, 0, 0].tolist() == [10, 20] and found.test[:, 0, 0].tolist() == [101, 102]
        assert found.answers.tolist() == [1, 0]
        if run.exists():
            shutil.make_archive(str(run.parent), "zip", run.parent)  # with run01/ at the top, as published
            shutil.rmtree(run.parent)


def test_an_incomplete_run_is_refused(run, tmp_path):
    (run / "test/item02.png").unlink()
    with pytest.raises(
        ValueError, match="run01: class_labels.txt has 'run01/test/item02.png run01/training/class01.png"
    ):
        omniglot.read_runs(run)
    for content in (b"", b"no image"):
        write(run / "test/item02.png", content)
        with pytest.raises(ValueError, match="item02.png is not an image"):
            omniglot.read_runs(run)
    (run / "class_labels.txt").unlink()
    with pytest.raises(ValueError, match="run01 has no class_labels.txt"):
        omniglot.read_runs(run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither run01/class_labels.txt nor all_runs.zip"):
        omniglot.read_runs(tmp_path / "empty")


def test_the_published_files(shared_data, tmp_path):
    directory, notes = shared_data / "omniglot_small", []
    for kind in ("images", "strokes"):
        found = omniglot.find(directory, kind, notes.append)
        counts = {split: len({x.label for x in found if x.split == split}) for split in ("train", "test")}
        assert len(found) == 20 * 242 and counts == {"train": 136, "test": 106}
    assert notes[0] == "note: Greek, Latin of background_small2 left out: another set has the same drawings."
    runs = omniglot.read_runs(directory)
    assert len(runs) == 20 and runs[0].test.shape == (20, 105, 105)
    assert all(sorted(run.answers.tolist()) == [*range(20)] for run in runs)
