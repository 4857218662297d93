from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util

from tests.peers.formula import draw_tree, uniform
from vidjax.models.inception import I3D, S3D, GoogLeNet, Inception, InceptionV1
from vidjax.models.layers import Conv2Plus1D, conv, torch_same
from vidjax.models.resnet import MC318, R3D18, BasicBlock, R2Plus1D18, ResNet18, ResNet50, SlowOnly50
from vidjax.models.vgg import VGG16, VGG16_3D
from vidjax.weights import inflate


def drawn(model, video):
    """Flat random variables, with random statistics."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))
    tree = {collection: draw_tree(part) for collection, part in shapes.items()}
    return {path: jnp.asarray(x) for path, x in traverse_util.flatten_dict(tree, sep="/").items()}


def apply(model, variables, video):
    return jax.jit(model.apply)(traverse_util.unflatten_dict(variables, sep="/"), video)


def both(flat, volume, frames, size, kind):
    """Activations of a frame in 2-D, and of a video that repeats it in 3-D with inflated variables."""
    image = uniform("image", (1, 1, size, size, 3))
    video = np.repeat(image, frames, axis=1)
    variables = drawn(flat, image.shape)
    inflated = inflate.inflate(variables, drawn(volume, video.shape), kind)
    return apply(flat, variables, image), apply(volume, inflated, video)


ONE_EACH = (1, 1, 1, 1)  # blocks per stage
# (2-D network, 3-D network, twice its receptive field in frames, frame size) of the same topology
PAIRS = {
    "inception_v1 to i3d": (InceptionV1, I3D, 200, 32),
    "googlenet": (GoogLeNet, partial(GoogLeNet, dims=3), 200, 32),
    "vgg16 to vgg16_3d": (partial(VGG16, hidden=32), partial(VGG16_3D, hidden=32), 432, 32),
    "resnet18 to r3d_18": (partial(ResNet18, stem_pool=False), R3D18, 224, 16),
    "resnet18 with its pool": (ResNet18, partial(ResNet18, kinds=("3d",) * 5), 224, 32),
    "resnet18 to mc3_18": (partial(ResNet18, stem_pool=False), MC318, 32, 16),
    "resnet50 to slowonly_r50": (partial(ResNet50, stage_sizes=ONE_EACH), partial(SlowOnly50, stage_sizes=ONE_EACH),
                                 10, 32),
    "googlenet to s3d": (partial(Inception, dims=2, padding=torch_same, pool_padding=torch_same, use_scale=True),
                         S3D, 200, 32),
}  # fmt: skip


@pytest.mark.parametrize("kind", inflate.KINDS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_repeated_frame_gives_the_activations_of_the_frame(pair, kind):
    """Away from padding: in the middle of a clip of twice the receptive field, or everywhere for the centre tap."""
    flat, volume, frames, size = PAIRS[pair]
    frames = frames if kind == "repeat" else 32
    (_, ends), (_, inflated) = both(flat(5, width=1 / 16), volume(5, width=1 / 16), frames, size, kind)
    for name, expected in ends.items():
        if name in ("Logits", "pooled"):  # means over time include the ends
            continue
        activations = inflated[name]
        steps = range(activations.shape[1]) if kind == "centre" else [activations.shape[1] // 2]
        scale = float(jnp.abs(expected).max())
        for step in steps:
            np.testing.assert_allclose(activations[:, step], expected[:, 0], atol=1e-5 * scale, err_msg=name)


def test_kernels_are_repeated_and_divided_or_become_the_centre_tap():
    kernel = uniform("kernel", (3, 3, 2, 4))
    repeated = inflate.over_time(kernel, 3, "repeat")
    np.testing.assert_allclose(repeated, np.stack([kernel / 3] * 3), rtol=1e-6)
    centred = inflate.over_time(kernel, 3, "centre")
    np.testing.assert_array_equal(centred, np.stack([0 * kernel, kernel, 0 * kernel]))


@pytest.mark.parametrize("channels", [2, 20])
def test_flow_from_rgb_is_the_mean_over_the_channels(channels):
    model = I3D(5, width=1 / 16)
    rgb, flow = drawn(model, (1, 8, 32, 32, 3)), drawn(model, (1, 8, 32, 32, channels))
    path = "params/Conv3d_1a_7x7/conv_3d/kernel"
    for variables in (rgb, drawn(InceptionV1(5, width=1 / 16), (1, 1, 32, 32, 3))):
        inflated = inflate.inflate(variables, flow)[path]
        assert inflated.shape == flow[path].shape
        expected = variables[path].mean(-2)
        expected = expected if expected.ndim == 4 else np.repeat(expected[None] / 7, 7, axis=0)
        for channel in range(channels):
            np.testing.assert_allclose(inflated[..., channel, :], expected, atol=1e-6)


class Unit(nn.Module):
    """A convolution, BatchNorm and ReLU: 2-D, or (2+1)-D with equal widths."""

    factorised: bool

    @nn.compact
    def __call__(self, x):
        norm = partial(nn.BatchNorm, use_running_average=True)
        if self.factorised:
            x = Conv2Plus1D(6, (3, 3, 3), (1, 1, 1), norm, middle=6, name="conv1")(x)
        else:
            x = conv(x, 6, (3, 3, 3), padding=torch_same, dims=2, name="conv1")
        return nn.relu(norm(name="bn1")(x)), {}


@pytest.mark.parametrize("kind", inflate.KINDS)
def test_a_factorised_convolution_of_equal_widths_is_exact(kind):
    (expected, _), (outputs, _) = both(Unit(False), Unit(True), 6, 8, kind)
    for step in (2, 3):
        np.testing.assert_allclose(outputs[:, step], expected[:, 0], atol=1e-5)


def test_r2plus1d_starts_near_the_2d_network():
    """Features correlate with those of the 2-D network; those of a randomly initialised network do not."""
    flat, volume = ResNet18(5, width=1 / 4, stem_pool=False), R2Plus1D18(5, width=1 / 4)
    (_, ends), (_, inflated) = both(flat, volume, 32, 16, "centre")
    video = np.repeat(uniform("image", (1, 1, 16, 16, 3)), 32, axis=1)
    _, fresh = apply(volume, drawn(volume, video.shape), video)
    alike = {
        name: float(jnp.corrcoef(ends["layer1"].ravel(), x["layer1"][:, 16].ravel())[0, 1])
        for name, x in (("inflated", inflated), ("fresh", fresh))
    }
    assert alike["inflated"] > 0.8 > 0.5 > abs(alike["fresh"])


def test_a_norm_without_a_scale_becomes_one_with_a_scale_of_one():
    norm = {"params/bn/bias": jnp.array([1.0, 2.0]), "batch_stats/bn/mean": jnp.zeros(2)}
    found = inflate.inflate(norm, {path: x + 5 for path, x in norm.items()} | {"params/bn/scale": jnp.full(2, 3.0)})
    assert found["params/bn/scale"].tolist() == [1, 1] and found["params/bn/bias"].tolist() == [1, 2]


def test_networks_of_different_structure_are_listed():
    resnet, i3d = drawn(ResNet18(5, width=1 / 16), (1, 1, 32, 32, 3)), drawn(I3D(5, width=1 / 16), (1, 8, 32, 32, 3))
    with pytest.raises(ValueError, match=r"differ in structure:\n.*kernel: the model has .*the other nothing"):
        inflate.inflate(resnet, i3d)
    wide = drawn(I3D(5, width=1 / 8), (1, 8, 32, 32, 3))
    with pytest.raises(
        ValueError, match=r"1a_7x7/conv_3d/kernel: the model has .7, 7, 7, 3, 8., the other .7, 7, 7, 3, 4."
    ):
        inflate.inflate(i3d, wide)
    with pytest.raises(ValueError, match="Unknown kind of inflation 'mean'; choose repeat or centre"):
        inflate.inflate(i3d, i3d, "mean")


def test_blocks_take_their_convolution_as_an_argument():
    norm = partial(nn.BatchNorm, use_running_average=True)
    x = jnp.zeros((1, 4, 8, 8, 6))
    for convolve, kernel in [
        (partial(conv, padding=torch_same, dims=2), (3, 3, 6, 6)),
        (partial(conv, padding=torch_same, dims=3), (3, 3, 3, 6, 6)),
    ]:
        variables = BasicBlock(6, 1, convolve, norm).init(jax.random.key(0), x)
        assert variables["params"]["conv1"]["kernel"].shape == kernel
