import jax
import numpy as np
import pytest

from vidjax.bench import models
from vidjax.models import make_model

pytest.importorskip("torchvision", reason="needs PyTorch and torchvision")

# Scales of BatchNorm, which the published I3D lacks; the second bias of torch's LSTM
ONLY_IN_TORCH = {"i3d": 7280, "i3d_64": 7280, "cnn_lstm": 4 * 512}


@pytest.mark.parametrize("name", list(models.CASES))
def test_they_have_the_parameters_of_ours(name):
    if name == "videomae_b":
        pytest.importorskip("transformers", reason="needs transformers")
    if name in models.OF_PYTORCHVIDEO:
        pytest.importorskip("pytorchvideo.models", reason="needs pytorchvideo")
    from vidjax.bench import torch_networks

    case = models.CASES[name]
    ours = make_model(case.network, case.num_classes, **case.arguments)
    frames, height, width = map(int, case.size.split("x"))
    video = jax.ShapeDtypeStruct((1, frames, height, width, 3), np.float32)
    params = jax.eval_shape(ours.init, jax.random.key(0), video)["params"]
    theirs = torch_networks.NETWORKS[name](num_classes=case.num_classes).parameters()
    size = sum(x.size for x in jax.tree.leaves(params)) + ONLY_IN_TORCH.get(name, 0)
    assert size == sum(x.numel() for x in theirs)
