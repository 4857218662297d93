import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from vidjax.analysis.costs import layers_of, module_path
from vidjax.models import make_model
from vidjax.models.recurrent import Recurrent


class Two(nn.Module):
    """A convolution, a pool, a block of two layers, and a mean: small enough to count by hand."""

    @nn.compact
    def __call__(self, video):
        x = nn.Conv(4, (3, 3, 3), name="first")(video)  # (B, 8, 16, 16, 4)
        x = nn.max_pool(x, (1, 2, 2), (1, 2, 2))  # (B, 8, 8, 8, 4)
        x = Block(name="block")(x)  # (B, 4, 8, 8, 6)
        return x.mean((1, 2, 3)), {"features": x}


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (3, 1, 1), (2, 1, 1), padding="VALID", feature_group_count=2, name="grouped")(x)
        return nn.relu(nn.Dense(6, name="dense")(x))


def shapes(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def test_layers_that_can_be_counted_by_hand():
    (network, *layers), ends = layers_of(Two(), {"video": shapes(2, 8, 16, 16, 3)})
    assert [layer.path for layer in layers] == [
        ("first",),
        ("max_pool_0 1x2x2",),
        ("block",),
        ("block", "grouped"),
        ("block", "dense"),
    ]
    first, pool, block, grouped, dense = layers
    assert [layer.output.shape for layer in layers] == [
        (2, 8, 16, 16, 4),
        (2, 8, 8, 8, 4),
        (2, 3, 8, 8, 6),
        (2, 3, 8, 8, 8),
        (2, 3, 8, 8, 6),
    ]
    assert [layer.num_params for layer in layers] == [27 * 3 * 4 + 4, 0, 56 + 54, 3 * 2 * 8 + 8, 8 * 6 + 6]
    assert first.multiply_adds == 2 * 8 * 16 * 16 * 4 * 27 * 3
    assert grouped.multiply_adds == 2 * 3 * 8 * 8 * 8 * 3 * 2  # each group has 2 of the 4 channels
    assert dense.multiply_adds == 2 * 3 * 8 * 8 * 6 * 8
    assert block.multiply_adds == grouped.multiply_adds + dense.multiply_adds
    assert network.multiply_adds == first.multiply_adds + block.multiply_adds
    assert network.num_params == first.num_params + block.num_params
    assert {name: tuple(field) for name, field in first.fields.items()} == dict.fromkeys(
        ("frames", "height", "width"), (1, -1, 1)
    )
    assert pool.fields["height"] == (2, -1, 2) and pool.fields["frames"] == (1, -1, 1)
    assert dense.fields["frames"] == (2, -1, 3)
    assert ends["features"].fields == dense.fields and ends["outputs"].output.shape == (2, 6)


def test_a_loop_counts_every_step():
    class OverSteps(nn.Module):
        @nn.compact
        def __call__(self, features):
            return Recurrent(16, name="lstm")(features), {}

    (network, lstm, of_input), _ = layers_of(OverSteps(), {"features": shapes(3, 10, 5)})
    assert [x.path[-1] for x in (lstm, of_input)] == ["lstm", "input"]
    assert of_input.multiply_adds == 3 * 10 * 5 * 64
    assert network.multiply_adds == lstm.multiply_adds == of_input.multiply_adds + 3 * 10 * 16 * 64
    assert lstm.num_params == 5 * 64 + 64 + 16 * 64


def test_rematerialised_and_jitted_modules_are_layers_too():
    class Wrapped(nn.Module):
        @nn.compact
        def __call__(self, features):
            x = nn.remat(nn.Dense)(4, name="remat")(features)
            return nn.jit(nn.Dense)(5, name="jit")(x), {}

    (_, *layers), _ = layers_of(Wrapped(), {"features": shapes(1, 2, 3)})
    assert [(x.path, x.multiply_adds, x.num_params) for x in layers] == [(("remat",), 24, 16), (("jit",), 40, 25)]


# torchvision's weights, meta["_ops"] in GFLOPS, which are multiply-adds; the size of the clip or image; the classes.
# (mc3_18: torchvision averages over time before the classifier, we after it: 15 x 0.2 M more.)
PUBLISHED = {
    "r3d_18": (40.697, (16, 112, 112), 400),
    "mc3_18": (43.343, (16, 112, 112), 400),
    "r2plus1d_18": (40.519, (16, 112, 112), 400),
    "s3d": (17.979, (16, 224, 224), 400),
    "vgg16": (15.47, (1, 224, 224), 1000),
    "googlenet": (1.498, (1, 224, 224), 1000),
    "resnet18": (1.814, (1, 224, 224), 1000),
    "resnet50": (4.089, (1, 224, 224), 1000),
    "alexnet": (0.714, (1, 224, 224), 1000),
}


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_match_those_of_torchvision(name, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)  # selects the implementation of 3-D convolutions
    giga, size, num_classes = PUBLISHED[name]
    layers, _ = layers_of(make_model(name, num_classes), {"video": shapes(2, *size, 3)})
    assert layers[0].multiply_adds / 2 / 1e9 == pytest.approx(giga, rel=1e-3)


@pytest.mark.parametrize("name", ["i3d", "c3d"])
def test_layers_do_not_depend_on_the_implementation_of_convolutions(name, monkeypatch):
    tables = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        tables.append(layers_of(make_model(name, 10), {"video": shapes(2, 16, 64, 64, 3)}))
    assert tables[0] == tables[1]


def test_scopes_that_are_not_modules_are_ignored():
    assert module_path("ResNet/ResNet.stem/conv1") == ("conv1",)
    assert module_path("FrameRNN/backbone/backbone.stem/conv1") == ("backbone", "conv1")
    assert module_path("ResNet") == ()


def test_inputs_that_a_model_does_not_take():
    with pytest.raises(ValueError, match="Frames must be at least 32x32"):
        layers_of(make_model("i3d", 10), {"video": shapes(1, 8, 16, 16, 3)})
