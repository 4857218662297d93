import numpy as np

from configs.common import data
from vidjax.weights.table.frames import FRAMES


def test_normalisation_is_torchvisions_and_that_of_the_configs():
    """torchvision 0.28, transforms/_presets.py, ImageClassification, in units of 0..1."""
    imagenet = FRAMES["torchvision_resnet18"].preprocess
    np.testing.assert_allclose(np.array(imagenet["mean"]) / 255, [0.485, 0.456, 0.406], atol=1e-6)
    np.testing.assert_allclose(np.array(imagenet["std"]) / 255, [0.229, 0.224, 0.225], atol=1e-6)
    assert imagenet == data.IMAGENET
    assert FRAMES["torchvision_googlenet"].preprocess == data.MINUS_ONE_TO_ONE


def test_classes_are_those_of_ilsvrc2012():
    assert FRAMES["torchvision_resnet18"].labels[285] == "Egyptian cat"
