from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.peers.formula import uniform
from vidjax.models.layers import (
    Conv2Plus1D,
    ConvUnit,
    adaptive_average,
    causal,
    check_video,
    conv,
    local_response_norm,
    max_pool,
    mean_over_time,
    middle_width,
    no_padding,
    pool_space,
    scaled,
    tf_same,
    torch_ceil,
    torch_same,
)

VIDEO = uniform("video", (2, 5, 8, 7, 3))


class OneConv(nn.Module):
    kernel: tuple
    strides: tuple
    padding: type
    dims: int

    @nn.compact
    def __call__(self, x):
        return conv(x, 4, self.kernel, self.strides, padding=self.padding, dims=self.dims, name="conv")


def test_tf_same_pads_the_odd_one_at_the_end():
    assert tf_same((64, 65), (3, 3), (2, 2)) == ((0, 1), (1, 1))
    assert tf_same((224,), (7,), (2,)) == ((2, 3),)
    assert tf_same((4, 4), (1, 2), (1, 2)) == ((0, 0), (0, 0))
    assert tf_same((2,), (1,), (2,)) == ((0, 0),)


@pytest.mark.parametrize("kernel, stride", [(1, 1), (1, 2), (2, 2), (3, 1), (3, 2), (7, 2), (5, 3)])
def test_tf_same_is_xlas_same(kernel, stride):
    for size in range(1, 20):
        expected = jax.lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
        assert list(tf_same((size,), (kernel,), (stride,))) == expected


def test_torch_same_is_symmetric():
    assert torch_same((64, 65, 10), (7, 3, 1), (2, 2, 2)) == ((3, 3), (1, 1), (0, 0))


@pytest.mark.parametrize("padding", [tf_same, torch_same])
def test_conv_2d_sees_each_frame_by_itself(padding):
    model = OneConv((3, 3, 3), (2, 2, 2), padding, dims=2)
    variables = model.init(jax.random.key(0), VIDEO)
    assert variables["params"]["conv"]["kernel"].shape == (3, 3, 3, 4)
    whole = model.apply(variables, VIDEO)
    assert whole.shape == (2, 5, 4, 4, 4)
    frames = [model.apply(variables, VIDEO[:, t : t + 1]) for t in range(5)]
    np.testing.assert_allclose(whole, np.concatenate(frames, 1), atol=1e-6)


def test_conv_3d_is_a_sum_over_its_window():
    model = OneConv((3, 3, 3), (2, 2, 2), torch_same, dims=3)
    variables = model.init(jax.random.key(0), VIDEO)
    kernel = variables["params"]["conv"]["kernel"]
    assert kernel.shape == (3, 3, 3, 3, 4)
    outputs = model.apply(variables, VIDEO)
    assert outputs.shape == (2, 3, 4, 4, 4)
    window = VIDEO[1, 1:4, 1:4, 3:6]  # output (1, 1, 2) starts at 2 * (1, 1, 2) - 1
    np.testing.assert_allclose(outputs[1, 1, 1, 2], np.einsum("thwc,thwcd->d", window, kernel), atol=1e-5)


@pytest.mark.parametrize("padding", [tf_same, torch_same])
def test_max_pool_never_picks_the_padding(padding):
    video = VIDEO - 10
    pooled = max_pool(video, (3, 3, 3), (2, 2, 2), padding=padding)
    assert pooled.shape == (2, 3, 4, 4, 3)
    assert pooled.max() < -8
    start = 0 if padding is tf_same else -1  # of height 8: tf_same pads (0, 1)
    np.testing.assert_array_equal(pooled[0, 1, 1, 1], video[0, 1:4, 2 + start : 5 + start, 1:4].max((0, 1, 2)))


def test_max_pool_2d_sees_each_frame_by_itself():
    pooled = max_pool(VIDEO, (3, 3, 3), (2, 2, 2), padding=tf_same, dims=2)
    assert pooled.shape == (2, 5, 4, 4, 3)
    np.testing.assert_array_equal(pooled[:, 3:4], max_pool(VIDEO[:, 3:4], (3, 3, 3), (1, 2, 2), padding=tf_same))


@pytest.mark.parametrize("inputs, outputs, middle", [(64, 64, 144), (64, 128, 230), (128, 128, 288), (512, 512, 1152)])
def test_middle_width_is_that_of_r2plus1d_18(inputs, outputs, middle):
    """Channels of the (2+1)-D blocks of torchvision's r2plus1d_18, and the parameters of the 3-D convolution."""
    assert middle_width(inputs, outputs) == middle
    whole = 27 * inputs * outputs
    assert whole - (9 * inputs + 3 * outputs) < 9 * inputs * middle + 3 * middle * outputs <= whole


def test_conv_2plus1d_goes_over_space_then_time():
    model = Conv2Plus1D(6, (3, 3, 3), (2, 2, 2))
    outputs, variables = jax.jit(model.init_with_output)(jax.random.key(0), VIDEO)
    params, middle = variables["params"], middle_width(3, 6)
    shapes = jax.tree.map(np.shape, params)
    assert shapes["spatial"] == {"kernel": (1, 3, 3, 3, middle)}
    assert shapes["temporal"] == {"kernel": (3, 1, 1, middle, 6)}
    assert shapes["norm"] == {"scale": (middle,), "bias": (middle,)}
    assert outputs.shape == (2, 3, 4, 4, 6)
    space = np.einsum("tbhwc,hwcm->tbm", VIDEO[:, 1:4, 1:4, 3:6].swapaxes(0, 1), params["spatial"]["kernel"][0])
    space = np.maximum(space / np.sqrt(1 + 1e-5), 0)  # (3, B, M): three frames at (1, 2), normed, ReLU
    expected = np.einsum("tbm,tmd->bd", space, params["temporal"]["kernel"][:, 0, 0])
    np.testing.assert_allclose(outputs[:, 1, 1, 2], expected, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_batch_norm_of_a_unit_is_over_all_but_channels(dims):
    norm = partial(nn.BatchNorm, use_running_average=False, momentum=0.75, epsilon=1e-3, use_scale=False)
    unit = ConvUnit(4, (1, 1, 1), conv=partial(conv, padding=tf_same, dims=dims), norm=norm, activation=None)
    variables = unit.init(jax.random.key(0), VIDEO)
    outputs, updates = unit.apply(variables, VIDEO, mutable="batch_stats")
    kernel = np.asarray(variables["params"]["conv_3d"]["kernel"]).reshape(3, 4)
    before = VIDEO @ kernel  # (B, T, H, W, 4)
    mean, var = before.mean((0, 1, 2, 3)), before.var((0, 1, 2, 3))
    np.testing.assert_allclose(outputs, (before - mean) / np.sqrt(var + 1e-3), atol=1e-4)
    stats = updates["batch_stats"]["batch_norm"]
    np.testing.assert_allclose(stats["mean"], 0.25 * mean, atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.75 + 0.25 * var, atol=1e-5)


def test_unit_without_norm_has_a_bias_and_an_activation():
    unit = ConvUnit(4, (1, 1, 1), use_bias=True)
    variables = unit.init(jax.random.key(0), VIDEO)
    assert jax.tree.map(np.shape, variables["params"]) == {"conv_3d": {"kernel": (1, 1, 1, 3, 4), "bias": (4,)}}
    outputs = unit.apply(variables, VIDEO)
    assert outputs.min() == 0 and outputs.max() > 0


def test_mean_over_time_of_masked_is_that_of_filtered():
    features = uniform("features", (3, 6, 4))
    mask = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]])
    for dtype in (bool, np.int32, np.float32):
        means = mean_over_time(features, jnp.asarray(mask, dtype))
        for i in range(2):
            np.testing.assert_allclose(means[i], features[i][mask[i] == 1].mean(0), atol=1e-6)
        np.testing.assert_array_equal(means[2], 0)
    np.testing.assert_allclose(mean_over_time(features), features.mean(1), atol=1e-6)


def test_pool_space():
    np.testing.assert_allclose(pool_space(VIDEO), VIDEO.mean((2, 3)), atol=1e-6)


def test_scaled():
    assert [scaled(c, 1) for c in (1, 16, 1024)] == [1, 16, 1024]
    assert [scaled(c, 0.125) for c in (16, 48, 1024)] == [4, 6, 128]


@pytest.mark.parametrize(
    "shape, dtype, message",
    [
        ((2, 32, 32, 3), np.float32, "batch, time, height, width, channels"),
        ((2, 4, 32, 31, 3), np.float32, r"at least 32x32.* leave nothing of them.*\(2, 4, 32, 31, 3\)"),
        ((2, 0, 32, 32, 3), np.float32, r"\(2, 0, 32, 32, 3\)"),
        ((2, 4, 32, 32, 3), np.uint8, "uint8"),
    ],
)
def test_check_video_says_what_is_wrong(shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        check_video(jnp.zeros(shape, dtype), min_size=32)


def test_ceil_mode_is_torchs():
    # torch.nn.MaxPool2d(3, 2, ceil_mode=True): 112 -> 56, 113 -> 56, 114 -> 57 outputs; (2, 2): 7 -> 4
    for size, kernel, outputs in [(112, 3, 56), (113, 3, 56), (114, 3, 57), (7, 2, 4), (8, 2, 4)]:
        ((before, after),) = torch_ceil((size,), (kernel,), (2,))
        assert before == 0 and (size + after - kernel) // 2 + 1 == outputs
    assert no_padding((5, 5), (3, 3), (1, 1)) == ((0, 0), (0, 0))


@pytest.mark.parametrize("stride", [1, 2])
def test_causal_convolutions_do_not_see_the_future(stride):
    model = OneConv((3, 3, 3), (stride, 1, 1), causal(torch_same), dims=3)
    video = uniform("long", (1, 7, 4, 4, 3))
    variables = model.init(jax.random.key(0), video)
    before = model.apply(variables, video)
    assert before.shape[1] == -(-7 // stride)
    changed = video.copy()
    changed[:, 4] += 1
    differs = np.abs(model.apply(variables, changed) - before).max(axis=(0, 2, 3, 4)) > 1e-6
    expected = [i * stride - 2 <= 4 <= i * stride for i in range(before.shape[1])]  # output i sees 2 frames back
    assert differs.tolist() == expected
    with pytest.raises(ValueError, match="no time in 2-D"):
        OneConv((3, 3, 3), (1, 1, 1), causal(torch_same), dims=2).init(jax.random.key(0), video)


def test_adaptive_average():
    x = uniform("x", (1, 1, 7, 5, 2))
    averaged = adaptive_average(x, (3, 2))
    np.testing.assert_allclose(averaged[0, 0, 1, 0], x[0, 0, 2:5, 0:3].mean((0, 1)), atol=1e-6)  # 7/3 to 14/3, 0 to 5/2
    np.testing.assert_allclose(adaptive_average(x, (7, 5)), x, atol=1e-6)
    assert adaptive_average(x, (9, 9)).shape == (1, 1, 9, 9, 2)  # fewer inputs than outputs: each is repeated


def test_too_few_frames_and_other_channels_are_refused():
    with pytest.raises(ValueError, match="at least 16 frames; got a video of the shape"):
        check_video(jnp.zeros((1, 15, 32, 32, 3)), min_size=32, min_frames=16)
    first = {"conv_3d": {"kernel": jnp.zeros((7, 7, 7, 3, 64)), "bias": jnp.zeros(64)}}
    check_video(jnp.zeros((1, 16, 32, 32, 3)), min_size=32, first=first)
    with pytest.raises(ValueError, match=r"parameters are for 3 channels \(3 is RGB, 2 is optical flow\); got"):
        check_video(jnp.zeros((1, 16, 32, 32, 2)), min_size=32, first=first)


def test_local_response_norm_is_the_papers_formula():
    """Krizhevsky et al. (2012), section 3.3, written as there, at activations where it does something."""
    a = 100 * uniform("a", (2, 3, 7)).astype(np.float64)
    b = np.empty_like(a)
    for i in range(7):
        total = sum(a[..., j] ** 2 for j in range(max(0, i - 2), min(6, i + 2) + 1))
        b[..., i] = a[..., i] / (2 + 1e-4 * total) ** 0.75
    np.testing.assert_allclose(local_response_norm(jnp.float32(a)), b, rtol=1e-5)
    assert np.abs(b - a / 2**0.75).max() > 1
    assert local_response_norm(jnp.bfloat16(a)).dtype == jnp.bfloat16
