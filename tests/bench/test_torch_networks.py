import jax
import numpy as np
import pytest

from vidjax.bench import models
from vidjax.models import make_model

pytest.importorskip("torchvision", reason="needs PyTorch and torchvision")


@pytest.mark.parametrize("name", list(models.SIZES))
def test_they_have_the_parameters_of_ours(name):
    from vidjax.bench import torch_networks

    ours = make_model(name, models.num_classes_of(name))
    frames, height, width = map(int, models.SIZES[name].split("x"))
    video = jax.ShapeDtypeStruct((1, frames, height, width, 3), np.float32)
    params = jax.eval_shape(ours.init, jax.random.key(0), video)["params"]
    theirs = torch_networks.NETWORKS[name](num_classes=models.num_classes_of(name)).parameters()
    scales = 7280 if name == "i3d" else 0  # BatchNorm scales, which the published network lacks
    assert sum(x.size for x in jax.tree.leaves(params)) + scales == sum(x.numel() for x in theirs)
