import jax
import numpy as np
import pytest

from vidjax.analysis import layer_table, peak_flops
from vidjax.analysis.networks import find_config

VIDEO = {"video": np.zeros((2, 4, 32, 32, 3), np.uint8)}


@pytest.fixture
def two_of(monkeypatch):
    def pretend(kind):
        device = type("Device", (), {"device_kind": kind})()
        monkeypatch.setattr(jax, "devices", lambda: [device, device])

    return pretend


def test_three_passes_with_two_flops_per_multiply_add_over_all_devices(two_of):
    config = find_config("small_cnn")
    multiply_adds = layer_table.layers_of(config, VIDEO, 8)[0][0].multiply_adds
    two_of("NVIDIA A100-SXM4-80GB")
    expected = 6 * multiply_adds / (2 * 312e12)
    assert peak_flops.seconds_at_peak(config, VIDEO, 8) == pytest.approx(expected) and multiply_adds > 1e6


def test_a_network_whose_cost_can_be_counted_by_hand(two_of):
    """One linear layer on the mean of frame features: 2 clips, 16 features, 8 classes."""
    config = find_config("frame_pool")
    features = {"features": np.zeros((2, 5, 16), np.float32), "frame_mask": np.ones((2, 5), np.float32)}
    two_of("TPU v3")
    assert peak_flops.seconds_at_peak(config, features, 8) == pytest.approx(3 * 2 * (2 * 16 * 8) / 123e12)


def test_unknown_cases_give_none(two_of):
    config = find_config("small_cnn")
    assert peak_flops.seconds_at_peak(config, VIDEO, 8) is None  # a CPU
    two_of("NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    assert peak_flops.seconds_at_peak(config, VIDEO, 8) is None
    two_of("TPU v4")
    assert peak_flops.seconds_at_peak(config, VIDEO, 8) > 0
    config.freeze = ("conv.*",)
    assert peak_flops.seconds_at_peak(config, VIDEO, 8) is None
