import jax.numpy as jnp
import numpy as np

from vidjax.evaluation import flow_errors


def test_errors_by_speed_by_hand():
    """Pixels: speed 1 and error 0, speed 4 and error 2, speed 10 and error 4, speed 200 and error 6, unknown."""
    target = jnp.array([[[[1.0, 0], [0, 4], [10, 0], [0, 200], [0, 0]]]])
    flow = target + jnp.array([[[[0.0, 0], [2, 0], [0, 4], [6, 0], [99, 0]]]])
    rows = flow_errors.sums(flow, target, jnp.array([[[1.0, 1, 1, 1, 0]]]))
    found = flow_errors.metrics_of(np.asarray(rows))
    assert found == {
        **{"loss": 3.0, "epe": 3.0, "epe_0_2": 0.0, "epe_2_8": 2.0, "epe_8_16": 4.0, "epe_16": 6.0},
        **{"within_1px": 0.25, "within_3px": 0.5, "within_5px": 0.75},
        **{"fl_all": 0.25, "num_videos": 1},  # 6 pixels are 3 % of 200: no outlier
    }


def test_bands_without_pixels_and_splits_of_several_pairs():
    still = jnp.zeros((2, 1, 4, 2))
    flow = still.at[1, 0, 0].set(jnp.array([3.0, 4.0]))
    rows = flow_errors.sums(flow, still, jnp.ones((2, 1, 4)).at[0, 0, 0].set(0))
    found = flow_errors.metrics_of(np.asarray(rows))
    assert found["epe_2_8"] is None and np.isclose(found["epe"], 5 / 7) and found["num_videos"] == 2


def test_picture(tmp_path):
    flow = np.random.default_rng(0).normal(size=(2, 8, 12, 2)).astype(np.float32)
    frames, mask = np.zeros((2, 8, 12, 3), np.uint8), np.ones((2, 8, 12), np.float32)
    mask[0] = 0  # nothing is known
    flow_errors.draw((frames, flow, flow + 1, mask), tmp_path / "flow.png")
    assert (tmp_path / "flow.png").stat().st_size > 1000
