import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util

from vidjax.analysis.receptive_field import receptive_fields
from vidjax.analysis.receptive_rules import Field
from vidjax.models import make_model

FRAMES = {1: "frames"}
SEQUENCE = jax.ShapeDtypeStruct((2, 32, 5), jnp.float32)  # (B, T, D)
EVERYTHING = Field(0, 0, 31)


def conv_1d(x, size=3, stride=1, dilation=1, padding="VALID"):
    kernel = jnp.ones((size, x.shape[-1], 4))
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), padding, rhs_dilation=(dilation,), dimension_numbers=("NTC", "TIO", "NTC")
    )


def along_time(function) -> Field | None:
    return receptive_fields(function, SEQUENCE, FRAMES).get("frames")


@pytest.mark.parametrize(
    "function, expected",
    [
        (lambda x: x, (1, 0, 0)),
        (lambda x: conv_1d(x, 3), (1, 0, 2)),
        (lambda x: conv_1d(x, 3, padding=[(1, 1)]), (1, -1, 1)),
        (lambda x: conv_1d(conv_1d(x, 3), 3), (1, 0, 4)),
        (lambda x: conv_1d(conv_1d(x, 3, stride=2), 3), (2, 0, 6)),
        (lambda x: conv_1d(x, 3, dilation=4), (1, 0, 8)),
        (lambda x: x[..., :4] + conv_1d(x, 3, padding=[(2, 0)]), (1, -2, 0)),  # a shortcut
        (lambda x: nn.max_pool(x, (2,), (2,)), (2, 0, 1)),
        (lambda x: nn.avg_pool(x, (3,), (2,), [(1, 1)]), (2, -1, 1)),
        (lambda x: x[:, 3:20:4], (4, 3, 3)),
        (lambda x: x[:, ::-1], (-1, 31, 31)),
        (lambda x: conv_1d(x[:, ::-1], 3)[:, ::-1], (1, 0, 2)),
        (lambda x: jnp.pad(x, ((0, 0), (3, 0), (0, 0))), (1, -3, -3)),
        (lambda x: jnp.concatenate([jnp.zeros((2, 3, 5)), x], 1), (1, -3, -3)),
        (lambda x: jnp.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], -1), (1, 0, 2)),
        (lambda x: sum(jnp.split(x, 2, 1)), (1, 0, 16)),
        (lambda x: x.mean(1), EVERYTHING),
        (lambda x: conv_1d(x).mean(1), EVERYTHING),
        (lambda x: x.mean(2), (1, 0, 0)),
        (lambda x: x - x.mean(1, keepdims=True), EVERYTHING),
        (lambda x: jnp.cumsum(x, 1), (1, -math.inf, 0)),
        (lambda x: jnp.einsum("btd,de->bte", x, jnp.ones((5, 7))), (1, 0, 0)),
        (lambda x: jnp.einsum("btd,bsd->bts", x, x), EVERYTHING),  # attention
        (lambda x: x.reshape(64, 5).reshape(2, 32, 5), (1, 0, 0)),
        (lambda x: x.reshape(2, 160) @ jnp.ones((160, 3)), EVERYTHING),
        (lambda x: x.reshape(2, 16, 10), EVERYTHING),  # no axis follows time alone any more
        (lambda x: x.transpose(1, 0, 2).reshape(32, 10)[2:], (1, 2, 2)),
        (lambda x: x[:, jnp.array([0, -1])], EVERYTHING),
        (lambda x: x[jnp.array([1, 0])], (1, 0, 0)),
        (lambda x: jnp.sort(x, 1), EVERYTHING),
        (lambda x: jax.nn.relu(x[..., :4]) + jax.jit(conv_1d)(jnp.pad(x, ((0, 0), (2, 0), (0, 0)))), (1, -2, 0)),
        (jax.checkpoint(partial(conv_1d, size=2)), (1, 0, 1)),
        (lambda x: jax.lax.cond(True, lambda y: y[:, 1:], lambda y: y[:, :-1], x), (1, 0, 1)),
        (lambda x: jax.lax.reduce(x, -jnp.inf, jnp.logaddexp, (1,)), EVERYTHING),
        (lambda x: jax.lax.reduce_window(x, 0.0, jnp.logaddexp, (1, 3, 1), (1, 1, 1), "VALID"), EVERYTHING),
        (lambda x: jax.lax.map(lambda of_step: x[0] * 1.0, x.swapaxes(0, 1))[0], (1, 0, 0)),
        (lambda x: jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: 2 * y, x), EVERYTHING),
    ],
)
def test_intervals_of_small_functions(function, expected):
    found = along_time(function)
    if not found.step:  # positions beyond the input are padding
        found = Field(0, max(found.first, 0), min(found.last, 31))
    assert found == expected


def test_a_constant_has_no_field():
    assert receptive_fields(lambda x: jnp.ones(3), SEQUENCE, FRAMES) == {}


def test_the_size_is_the_number_of_positions():
    assert Field(2, -3, 3).size == 7


@pytest.mark.parametrize("reverse, expected", [(False, Field(1, -math.inf, 0)), (True, Field(1, 0, math.inf))])
def test_a_recurrent_network_sees_the_whole_past(reverse, expected):
    rnn = nn.RNN(nn.LSTMCell(4), reverse=reverse, keep_order=True)
    variables = rnn.init(jax.random.key(0), jnp.zeros(SEQUENCE.shape))
    assert along_time(partial(rnn.apply, variables)) == expected


def test_a_loop_without_memory_sees_one_step():
    def steps(x):
        last, each = jax.lax.scan(lambda carry, y: (carry, 2 * y), jnp.zeros(()), x.swapaxes(0, 1))
        return each.swapaxes(0, 1)

    assert along_time(steps) == (1, 0, 0)


def test_a_dilated_causal_stack_matches_its_formula():
    def network(x):  # van den Oord et al., 2016: 1 + (kernel - 1) * sum of the dilations
        for dilation in (1, 2, 4, 8):
            x = conv_1d(x, 2, dilation=dilation, padding=[(dilation, 0)])
        return x

    assert along_time(network) == (1, -15, 0)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_convolution_by_planes_has_the_field_of_the_plain_one(backend, monkeypatch):
    from vidjax.models import layers

    monkeypatch.setattr(jax, "default_backend", lambda: backend)

    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = layers.conv(x, 4, (3, 3, 3), (2, 1, 1), padding=layers.causal(layers.torch_same), name="a")
            return layers.conv(x, 4, (3, 5, 1), padding=layers.no_padding, name="b")

    for frames in (9, 1):  # a single frame has a theoretical field too

        def function(x):
            padded = jnp.pad(x, ((0, 0), (4, 0), (0, 0), (0, 0), (0, 0)))
            return Two().init_with_output(jax.random.key(0), padded)[0]

        x = jax.ShapeDtypeStruct((1, frames, 16, 16, 3), jnp.float32)
        found = receptive_fields(function, x, {1: "frames", 2: "height", 3: "width"})
        assert found == {"frames": (2, -6, 0), "height": (1, -1, 5), "width": (1, -1, 1)}


# --------------------------------------------------------------------------------------------- against measured fields


def layer_as_function(name: str, layer: str, shape: tuple[int, int, int], **arguments):
    """Returns a function of x (T, H, W) and variables -> the endpoint `layer` (T', H', W'), and its variables.

    All kernels are positive and average over the channels only. This keeps the gradient at the edge of a field at about
    1; otherwise it would vanish. The variables are an argument because XLA's CPU backend miscompiles some networks with
    constant kernels (jax 0.10.2 and 0.11.2: YNNPACK's fusion of convolution, ReLU, max-pool and mean).
    """
    model = make_model(name, 0, **arguments)
    video = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    flat = traverse_util.flatten_dict(jax.eval_shape(model.init, jax.random.key(0), video))
    rng = np.random.default_rng(0)
    for path, x in flat.items():
        flat[path] = np.full(x.shape, {"scale": 1, "var": 1}.get(path[-1], 0))  # BatchNorm does nothing
        if path[-1] == "kernel":
            flat[path] = rng.uniform(0.9, 1.1, x.shape) / x.shape[-2]
    flat = {path: jnp.asarray(x, jnp.float32) for path, x in flat.items()}
    variables = traverse_util.unflatten_dict(flat)

    def function(x, variables):
        video = jnp.broadcast_to(x[None, ..., None], (1, *x.shape, 3))
        return model.apply(variables, video)[1][layer].mean((0, -1))

    return function, variables


def measured_fields(function, variables, shape, axis: int) -> tuple[int, int, int]:
    """Returns (element, first, last): the positions with a gradient from a central element of the output.

    A max-pool passes the gradient to one element only: the last for rising values, the first for falling ones.
    """
    ramp = jnp.expand_dims(jnp.linspace(1.0, 2.0, shape[axis]), [k for k in range(3) if k != axis])

    @jax.jit
    def gradient(x, variables):
        output, pull = jax.vjp(lambda x: function(x, variables), x)
        centre = tuple(n // 2 for n in output.shape)
        return pull(jnp.zeros_like(output).at[centre].set(1))[0]

    touched = sum(gradient(jnp.broadcast_to(x, shape), variables) for x in (ramp, jnp.flip(ramp, axis)))
    others = tuple(k for k in range(3) if k != axis)
    positions = np.flatnonzero(np.asarray(touched).any(others))
    element = jax.eval_shape(function, jnp.zeros(shape), variables).shape[axis] // 2
    return element, positions[0], positions[-1]


def check_by_gradient_and_infinity(name, layer, shape, axis, expected: Field | None = None, **arguments):
    function, variables = layer_as_function(name, layer, shape, **arguments)
    axes = ["frames", "height", "width"]
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    field = receptive_fields(partial(function, variables=variables), x, dict(enumerate(axes)))[axes[axis]]
    assert expected is None or field == expected
    element, first, last = measured_fields(function, variables, shape, axis)
    assert (first, last) == (field.step * element + field.first, field.step * element + field.last)
    assert 0 < first and last < shape[axis] - 1  # otherwise the input is too small

    # With positive kernels, infinity reaches exactly the elements that depend on it.
    # (NaN should too, but XLA's max-pool on CPUs can lose it.)
    seen = []
    apply = jax.jit(function)
    for position in (first - 1, first, last, last + 1):
        outputs = apply(jnp.ones(shape).at[(slice(None),) * axis + (position,)].set(jnp.inf), variables)
        seen.append(not bool(jnp.isfinite(jnp.take(outputs, element, axis)).all()))
    assert seen == [False, True, True, False]
    return field


SLIM = 1 / 64  # 4 channels


def test_causal_r3d_by_gradient_and_infinity():
    check_by_gradient_and_infinity("r3d_18", "layer2", (64, 16, 16), 0, Field(2, -24, 0), width=SLIM, causal=True)


def test_i3d_by_gradient_and_infinity():
    check_by_gradient_and_infinity("i3d", "Mixed_3c", (64, 32, 32), 0, Field(2, -8, 10), width=SLIM)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, layer, shape, axis, size",
    [
        ("r3d_18", "layer4", (240, 16, 16), 0, 109),
        ("r3d_18", "layer4", (8, 480, 16), 1, 219),
        ("r3d_18", "layer4", (8, 16, 480), 2, 219),
        ("i3d", "Mixed_5c", (240, 32, 32), 0, 99),
        ("i3d", "Mixed_5c", (8, 896, 32), 1, 379),
        ("i3d", "Mixed_5c", (8, 32, 896), 2, 379),
        ("s3d", "Mixed_5c", (240, 32, 32), 0, 99),
        ("c3d", "pool5", (192, 32, 32), 0, 76),
        ("vgg16_3d", "pool5", (16, 480, 32), 1, 212),
    ],
)
def test_published_networks_by_gradient_and_infinity(name, layer, shape, axis, size):
    arguments = {"hidden": 0} if "vgg" in name or name == "c3d" else {}
    field = check_by_gradient_and_infinity(name, layer, shape, axis, width=SLIM, **arguments)
    assert field.size == size
