import numpy as np

from vidjax.weights.table.clips import CLIPS


def test_normalisation_is_torchvisions():
    """torchvision 0.28, transforms/_presets.py, VideoClassification, in units of 0..1."""
    kinetics = CLIPS["torchvision_r3d_18"].preprocess
    np.testing.assert_allclose(np.array(kinetics["mean"]) / 255, [0.43216, 0.394666, 0.37645], atol=1e-6)
    np.testing.assert_allclose(np.array(kinetics["std"]) / 255, [0.22803, 0.22145, 0.216989], atol=1e-6)
