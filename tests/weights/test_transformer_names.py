"""Tables of names are read in both directions."""

import numpy as np
import pytest

from vidjax.export import torch_names
from vidjax.weights import importers
from vidjax.weights.transformer_names import ours, theirs

TABLE = {
    "embed.position": "positions",
    "blocks.{}.norm1": "block{}/norm1",
    "blocks.{}.attn.qkv": "block{}/attention/qkv",
    "stages.{}.{}.fc": "stage{}_{}/fc",
    "head": "classifier",
    "old_head": "classifier",
}
PAIRS = {
    "embed.position": "positions",
    "blocks.12.norm1.weight": "block12/norm1/scale",
    "blocks.0.norm1.bias": "block0/norm1/bias",
    "blocks.3.attn.qkv.weight": "block3/attention/qkv/kernel",
    "stages.1.2.fc.weight": "stage1_2/fc/kernel",
    "head.bias": "classifier/bias",
}


@pytest.mark.parametrize("name", PAIRS)
def test_both_directions(name):
    assert ours(name, TABLE) == PAIRS[name]
    assert theirs(PAIRS[name], TABLE) == name


def test_statistics_of_batch_norm():
    assert ours("blocks.1.norm1.running_var", TABLE) == "block1/norm1/var"
    assert theirs("block1/norm1/mean", TABLE) == "blocks.1.norm1.running_mean"


def test_a_second_name_of_theirs_is_read_and_not_written():
    assert ours("old_head.weight", TABLE) == "classifier/kernel"
    assert theirs("classifier/kernel", TABLE) == "head.weight"


@pytest.mark.parametrize("name", ["other", "blocks.x.norm1.weight", "blocks.1.norm1.num_batches_tracked"])
def test_an_unknown_name_stays(name):
    assert ours(name, TABLE) == name


def test_a_fused_layer_is_split_and_joined():
    def name_of(path):
        return theirs(path, TABLE)

    layout = importers.Layout((".pth",), lambda name: ours(name, TABLE), torch_order=True, fused=True)
    arrays = {
        "blocks.0.attn.qkv.weight": np.arange(12.0).reshape(6, 2),  # 2 -> 3 times 2 outputs
        "blocks.0.attn.qkv.bias": np.arange(6.0),
        "head.weight": np.ones((3, 2)),
    }
    variables, names = importers.translate(arrays, layout)
    assert variables["params/block0/attention/key/bias"].tolist() == [2, 3]
    assert variables["params/block0/attention/query/kernel"].tolist() == [[0, 2], [1, 3]]  # (inputs, outputs)
    assert names["params/block0/attention/value/kernel"] == "blocks.0.attn.qkv.weight"
    back = torch_names.to_torch(variables, layout, name_of)
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
