import cv2
import numpy as np
import pytest

from vidjax.data import flow_pairs
from vidjax.data.sources import flow_datasets

FLO = b"PIEH" + np.array([1, 1], "<i4").tobytes() + np.array([2, 3], "<f4").tobytes()


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FLO if path.suffix == ".flo" else b"")


def found(name, directory, say=print):
    dataset = flow_datasets.find(name, directory, say)
    assert dataset.labels == [] and dataset.inputs["true_flow"]
    names = [tuple(path and path.rpartition("/")[2] for path in (x.path, *x.pair)) for x in dataset.items]
    return list(zip(names, (x.split for x in dataset.items), strict=True))


def test_flying_chairs(tmp_path):
    data = tmp_path / "data"
    touch(*(data / f"0000{i}_{name}" for i in (1, 2) for name in ("img1.ppm", "img2.ppm", "flow.flo")))
    assert {split for _, split in found("flying_chairs", tmp_path)} == {"train"}
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n2\n")
    first = ("00001_img1.ppm", "00001_img2.ppm", "00001_flow.flo", "")
    assert found("flying_chairs", tmp_path)[0] == (first, "train")
    assert found("flying_chairs", tmp_path)[1][1] == "val"
    (tmp_path / "FlyingChairs_train_val.txt").write_text("1\n")
    with pytest.raises(ValueError, match=r"must hold 1 \(train\) or 2 \(val\) for each of the 2 files"):
        found("flying_chairs", tmp_path)


def test_flying_things_goes_both_ways_in_time(tmp_path):
    flows = tmp_path / "optical_flow" / "TRAIN" / "A" / "0000"
    for way in ("Future", "Past"):
        for camera in ("left", "right"):
            letter = camera[0].upper()
            touch(
                *(flows / f"into_{way.lower()}" / camera / f"OpticalFlowInto{way}_000{i}_{letter}.pfm" for i in (6, 7))
            )
    touch(*(tmp_path / "frames_cleanpass" / "TRAIN" / "A" / "0000" / "left" / f"000{i}.png" for i in (6, 7)))
    assert found("flying_things", tmp_path) == [
        (("0006.png", "0007.png", "OpticalFlowIntoFuture_0006_L.pfm", ""), "train"),
        (("0007.png", "0006.png", "OpticalFlowIntoPast_0007_L.pfm", ""), "train"),
    ]


def test_sintel(tmp_path):
    training, said = tmp_path / "training", []
    touch(training / "flow" / "alley_1" / "frame_0001.flo", training / "invalid" / "alley_1" / "frame_0001.png")
    touch(*(training / "clean" / "alley_1" / f"frame_000{i}.png" for i in (1, 2)))
    expected = ("frame_0001.png", "frame_0002.png", "frame_0001.flo", "frame_0001.png")
    assert found("sintel", tmp_path, said.append) == [(expected, "clean")]
    assert len(said) == 1 and said[0].startswith("note: 1 of 2 pairs lack a file, such as ")


def test_kitti_and_middlebury(tmp_path):
    training = tmp_path / "training"
    touch(*(training / x for x in ("image_2/000000_10.png", "image_2/000000_11.png", "flow_occ/000000_10.png")))
    expected = ("000000_10.png", "000000_11.png", "000000_10.png", "")
    assert found("kitti", tmp_path) == [(expected, "train")]
    touch(*(tmp_path / "other-data" / "Venus" / x for x in ("frame10.png", "frame11.png")))
    touch(tmp_path / "other-gt-flow" / "Venus" / "flow10.flo")
    assert found("middlebury", tmp_path) == [(("frame10.png", "frame11.png", "flow10.flo", ""), "test")]


def test_a_listed_pair_can_be_read(tmp_path):
    touch(tmp_path / "other-gt-flow" / "Venus" / "flow10.flo")
    (tmp_path / "other-data" / "Venus").mkdir(parents=True)
    for name in ("frame10.png", "frame11.png"):
        cv2.imwrite(str(tmp_path / "other-data" / "Venus" / name), np.zeros((1, 1, 3), np.uint8))
    (item,) = flow_datasets.find("middlebury", tmp_path, print).items
    example = flow_pairs.read_example(item, lambda frame: cv2.imencode(".png", frame)[1].tobytes())
    assert flow_pairs.read_pair(example)[1].tolist() == [[[2, 3]]]


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no pairs of kitti"):
        found("kitti", tmp_path)
