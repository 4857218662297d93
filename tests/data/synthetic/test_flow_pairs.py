import cv2
import numpy as np
import pytest
from scipy import ndimage

from tests.flow_warping import back_warped
from vidjax.data import flow_files
from vidjax.data.synthetic import flow_pairs

SIZE = (96, 128)


@pytest.fixture(scope="module")
def pairs():
    return [flow_pairs.pair(seed, size=SIZE, photometric=0) for seed in range(4)]


def test_the_second_frame_warped_by_the_flow_is_the_first(pairs):
    """To 1/255 off the occlusions, but for three pixels around them and around edges of layers, which splines mix."""
    for pair in pairs:
        error = np.abs(back_warped(pair.second, pair.flow) - pair.first).mean(-1)
        jumps = np.zeros(SIZE, bool)
        for axis in (0, 1):
            jump = np.abs(np.diff(pair.flow, axis=axis)).max(-1) > 0.3
            jumps |= np.pad(jump, [(1, 0) if i == axis else (0, 0) for i in (0, 1)])
        inside = ~ndimage.binary_dilation(jumps | pair.occluded, iterations=3)
        assert inside.mean() > 0.5
        assert error[inside].mean() < 0.6 and np.quantile(error[inside], 0.95) < 1.5  # rounding alone gives 0.3
        wrong = np.abs(back_warped(pair.second, pair.flow + 1) - pair.first).mean(-1)
        assert wrong[inside].mean() > 2  # a pixel more is seen at once


def test_a_pair_is_a_function_of_its_seed(pairs):
    again = flow_pairs.pair(2, size=SIZE, photometric=0)
    assert all((x == y).all() for x, y in zip(again, pairs[2], strict=True))
    assert (again.first != pairs[1].first).any()
    assert again.first.shape == (*SIZE, 3) and again.first.dtype == np.uint8 and again.flow.dtype == np.float32


def test_occluded_pixels_leave_the_frame_or_go_below_a_layer(pairs):
    for pair in pairs:
        x, y = pair.flow[..., 0] + np.arange(SIZE[1]), pair.flow[..., 1] + np.arange(SIZE[0])[:, None]
        outside = (x < 0) | (x > SIZE[1] - 1) | (y < 0) | (y > SIZE[0] - 1)
        assert pair.occluded[outside].all()
    assert sum(pair.occluded.sum() for pair in pairs) > 0


def test_the_inverse_of_a_motion():
    waves = np.array([[2.0, 1.0, 0.05, 0.03, 0.4], [0.0, 1.5, -0.04, 0.06, 2.0]])
    motion = flow_pairs.Motion(
        np.array([[1.1, 0.2], [-0.1, 0.9]]), np.array([3.0, -4.0]), np.array([40.0, 30.0]), waves
    )
    points = np.random.default_rng(0).uniform(0, 100, (50, 2))
    np.testing.assert_allclose(motion.inverse(motion(points)), points, atol=1e-4)


def test_lengths_of_displacements_have_a_heavy_tail():
    rng = np.random.default_rng(0)
    shifts = [np.linalg.norm(flow_pairs._motion(rng, (200, 200), np.zeros(2), 1 / 40).shift) for _ in range(4000)]
    assert 4.5 < np.median(shifts) < 5.5  # 200 / 40
    assert np.mean(np.array(shifts) > 25) > 0.05 and max(shifts) < 66.7


def test_slower_pairs_show_the_same_layers(pairs):
    """A tenth of the speed: the first frame is the same, and displacements are about a tenth."""
    slow = flow_pairs.pair(1, size=SIZE, speed=0.1, photometric=0)
    assert (slow.first == pairs[1].first).all()
    fast, slow = (np.linalg.norm(flow, axis=-1).mean() for flow in (pairs[1].flow, slow.flow))
    assert 0.08 < slow / fast < 0.12


def test_photometric_changes_leave_the_flow_alone(pairs):
    changed = flow_pairs.pair(1, size=SIZE)
    assert (changed.flow == pairs[1].flow).all() and (changed.second != pairs[1].second).any()


def test_render_writes_pairs_and_keeps_them(tmp_path):
    photographs = []
    for i in range(5):
        photographs.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(photographs[-1]), np.full((40, 50, 3), 40 * i, np.uint8))
    arguments = {"num_videos": {"train": 1, "test": 1}, "size": (32, 48), "photographs": photographs, "num_workers": 1}
    found = flow_pairs.render(tmp_path / "videos", **arguments)
    assert [(folder.name, split) for folder, split in found] == [("00000", "train"), ("00000", "test")]
    folder = found[0][0]
    flow, mask = flow_files.read(folder / "flow.png")
    assert flow.shape == (32, 48, 2) and mask.all()
    before = (folder / "first.png").stat().st_mtime_ns
    flow_pairs.render(tmp_path / "videos", **arguments)
    assert (folder / "first.png").stat().st_mtime_ns == before
