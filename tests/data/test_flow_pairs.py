import cv2
import numpy as np
import pytest

from tests.flow_warping import back_warped
from vidjax.data import dataset_info, flow_files, flow_pairs, records
from vidjax.data.sources.items import FlowFiles, Item
from vidjax.data.synthetic import flow_pairs as rendered

INFO = dataset_info.DatasetInfo([], "unchanged", inputs={"true_flow": True})


def png(frame):
    return cv2.imencode(".png", frame[..., ::-1])[1].tobytes()


def example_of(frames, flow, mask=None):
    mask = np.ones(flow.shape[:2], bool) if mask is None else mask
    return records.Example([png(x) for x in frames], (), media_id="a", true_flow=[flow_files.to_png(flow, mask)])


@pytest.fixture
def steps():
    """Two frames of 4x6 pixels whose level is 10 times the row plus the column; flow (column, -row)."""
    row, column = np.indices((4, 6))
    frame = np.repeat((10 * row + column)[..., None], 3, axis=-1).astype(np.uint8)
    return example_of([frame, frame + 100], np.stack([column, -row], -1).astype(np.float32))


def test_random_crop_keeps_pixels_and_their_flow(steps):
    for seed in range(5):
        clip = flow_pairs.train_pair(steps, np.random.default_rng(seed), INFO, size=(2, 3))
        level = clip["video"][0, ..., 0].astype(int)
        row, column = level // 10, level % 10
        assert (row - row[0, 0] == [[0] * 3, [1] * 3]).all() and (column - column[0, 0] == [[0, 1, 2]] * 2).all()
        assert (clip["video"][1, ..., 0] == level + 100).all()
        np.testing.assert_array_equal(clip["target"], np.stack([column, -row], -1))
        assert clip["weight"].tolist() == [[1, 1, 1]] * 2


def test_mirroring_negates_u(steps):
    seen = set()
    for seed in range(40):
        clip = flow_pairs.train_pair(steps, np.random.default_rng(seed), INFO, size=(4, 6), crop="centre", flip=True)
        level = clip["video"][0, ..., 0].astype(int)
        sideways, upside = level[0, 0] % 10 == 5, level[0, 0] // 10 == 3
        row, column = level // 10, level % 10
        expected = np.stack([-column if sideways else column, row if upside else -row], -1)
        np.testing.assert_array_equal(clip["target"], expected)
        seen.add((sideways, upside))
    assert {(False, False), (True, False)} <= seen


def test_scaled_turned_and_mirrored_pairs_keep_the_law():
    """The second frame warped by the flow is still the first."""
    pair = rendered.pair(0, size=(96, 128), photometric=0)
    example = example_of(pair[:2], pair.flow)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        clip = flow_pairs.train_pair(example, rng, INFO, size=(48, 64), crop="resized", flip=True)
        assert clip["weight"].mean() > 0.97
        first, second = clip["video"].astype(float)
        right = np.median(np.abs(back_warped(second, clip["target"]) - first)[4:-4, 4:-4])
        wrong = np.median(np.abs(back_warped(second, clip["target"] * [1, -1]) - first)[4:-4, 4:-4])
        assert right < 2 < wrong


def test_a_quarter_turn_turns_the_vectors():
    """Right becomes down where y points down and the picture turns clockwise."""
    frames, flow = np.zeros((2, 5, 5, 3), np.uint8), np.tile(np.float32([2, 0]), (5, 5, 1))
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    frames[0, 2, 4] = 255  # right of the centre
    video, target, weight = flow_pairs.warp(frames, flow, np.ones((5, 5), bool), turn, np.zeros(2), (5, 5))
    assert video[0, 4, 2, 0] == 255 and target[2, 2].tolist() == [0, 2] and weight.min() == 1


def test_evaluation_crops_or_pads(steps):
    clip = flow_pairs.eval_pair(steps, INFO, size=(2, 8))
    assert clip["video"].shape == (1, 2, 2, 8, 3)
    assert clip["video"][0, 0, :, :, 0].tolist() == [[10, 11, 12, 13, 14, 15, 15, 15], [20, 21, 22, 23, 24, 25, 25, 25]]
    assert clip["weight"].tolist() == [[1] * 6 + [0] * 2] * 2
    assert clip["target"][0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 0]
    assert flow_pairs.eval_pair(steps, INFO, size=(2, 2))["target"].tolist() == [[[2, -1], [3, -1]], [[2, -2], [3, -2]]]


def test_unknown_flow_does_not_count_and_very_long_flow_only_in_evaluation():
    flow = np.zeros((2, 3, 2), np.float32)
    flow[0, 0] = 300, 300  # 424 pixels
    mask = np.array([[True, True, True], [False, True, True]])
    example = example_of(np.zeros((2, 2, 3, 3), np.uint8), flow, mask)
    clip = flow_pairs.eval_pair(example, INFO, size=(2, 3))
    assert clip["weight"].tolist() == [[1, 1, 1], [0, 1, 1]]  # as in the evaluation of Sintel and KITTI
    clip = flow_pairs.train_pair(example, np.random.default_rng(0), INFO, size=(2, 3))
    assert clip["weight"].tolist() == [[0, 1, 1], [0, 1, 1]]


def test_files_of_a_pair(tmp_path):
    for name in ("first", "second"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((2, 3, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "invalid.png"), np.array([[0, 0, 0], [255, 0, 0]], np.uint8))
    flow_files.write_flo(tmp_path / "flow.flo", np.ones((2, 3, 2)))
    item = Item(str(tmp_path / "first.png"), (), "train", pair=FlowFiles(
        *(str(tmp_path / name) for name in ("second.png", "flow.flo", "invalid.png"))))  # fmt: skip
    example = records.decode(records.encode(flow_pairs.read_example(item, png)))
    assert (example.height, example.width, len(example.images)) == (2, 3, 2)
    _, flow, mask = flow_pairs.read_pair(example)
    assert mask.tolist() == [[True, True, True], [False, True, True]] and flow[0, 0].tolist() == [1, 1]


def test_pairs_that_are_not_valid(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 3, 3), np.uint8))
    flow_files.write_flo(tmp_path / "b.flo", np.ones((2, 4, 2)))
    item = Item(str(tmp_path / "a.png"), (), pair=FlowFiles(str(tmp_path / "a.png"), str(tmp_path / "b.flo")))
    with pytest.raises(ValueError, match=r"frames and flow have different sizes \(3x2, 4x2\)"):
        flow_pairs.read_example(item, png)
    item = Item(str(tmp_path / "none.png"), (), pair=item.pair)
    with pytest.raises(ValueError, match="none.png does not exist, or is not an image"):
        flow_pairs.read_example(item, png)
    single = records.Example([png(np.zeros((2, 3, 3), np.uint8))], (), media_id="one")
    with pytest.raises(ValueError, match="'one' holds 1 frames and 0 fields of true flow"):
        flow_pairs.read_pair(single)
