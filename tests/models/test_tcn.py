import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model
from vidjax.models.layers import LastValid
from vidjax.models.tcn import TCN, EncoderDecoderTCN, FrameTCN

SEQUENCE = uniform("sequence", (2, 20, 5))
GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "tcn.json").read_text())
NETWORKS = [
    TCN((4, 4, 3), 3),
    TCN((4, 3), 2),
    TCN((4, 3), 4, causal=False),
    EncoderDecoderTCN((4, 3), 3, causal=True),
    EncoderDecoderTCN((4, 3), 4),
]
names = [f"{type(n).__name__}-{n.kernel_size}-{'causal' if n.causal else 'both'}" for n in NETWORKS]
every_network = pytest.mark.parametrize("network", NETWORKS, ids=names)


def parameters(network, x=SEQUENCE):
    inputs = {"features": x} if isinstance(network, FrameTCN) else {"x": x}
    return {"params": draw_tree(jax.eval_shape(network.init, jax.random.key(0), **inputs)["params"])}


def test_equals_torch():
    """The block of the authors' code, of Conv1d and weight_norm."""
    network = NETWORKS[0]
    outputs = network.apply(parameters(network), SEQUENCE)
    np.testing.assert_allclose(outputs, np.array(GOLDEN["outputs"]), atol=1e-6)


def convolution(x, kernel, bias, dilation, before):
    """sum_k x[t - before + k * dilation] kernel[k] + bias, by loops: (T, D) -> (T, F)."""
    out = np.tile(bias.astype(np.float64), (len(x), 1))
    for t in range(len(x)):
        for k in range(len(kernel)):
            source = t - before + k * dilation
            if 0 <= source < len(x):
                out[t] += x[source] @ kernel[k]
    return out


def test_equals_loops():
    network = NETWORKS[0]
    variables = parameters(network)
    x = SEQUENCE[0].astype(np.float64)
    for i in range(3):
        block, y = variables["params"][f"block{i}"], x
        for name in ("conv1", "conv2"):
            layer = block[name]
            kernel = layer["scale"] * layer["kernel"] / np.sqrt((layer["kernel"] ** 2).sum((0, 1)))
            y = np.maximum(convolution(y, kernel, layer["bias"], 2**i, 2 * 2**i), 0)
        if "downsample" in block:
            x = x @ block["downsample"]["kernel"] + block["downsample"]["bias"]
        x = np.maximum(x + y, 0)
    np.testing.assert_allclose(network.apply(variables, SEQUENCE)[0], x, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_the_encoder_decoder_equals_loops(causal):
    network = EncoderDecoderTCN((4, 3), 3, causal=causal)
    variables = parameters(network)
    params, x = variables["params"], SEQUENCE[0].astype(np.float64)

    def convolve(x, name):
        y = np.maximum(convolution(x, params[name]["kernel"], params[name]["bias"], 1, 2 if causal else 1), 0)
        return y / (y.max(-1, keepdims=True) + 1e-5)

    for name in ("encoder0", "encoder1"):
        x = convolve(x, name)
        x = np.stack([x[[max(2 * i - causal, 0), 2 * i + 1 - causal]].max(0) for i in range(len(x) // 2)])
    for name in ("decoder0", "decoder1"):
        x = convolve(np.repeat(x, 2, axis=0), name)
    np.testing.assert_allclose(network.apply(variables, SEQUENCE)[0], x, atol=1e-5)


@every_network
def test_the_receptive_field_is_the_computed_one(network):
    """Frame t of copy t is another one; the outputs that change see it."""
    length, margin = 72, 32
    x, frames = np.repeat(uniform("long", (1, length, 5)), length, axis=0), np.arange(length)
    variables, apply = parameters(network, x), jax.jit(network.apply)
    sees = np.zeros((length, length), bool)  # (output, frame)
    for i in range(6):  # one change may leave every maximum as it is
        changed = x.copy()
        changed[frames, frames] = 100 * uniform(f"change {i}", (length, 5))
        sees |= (np.abs(apply(variables, changed) - apply(variables, x)).max(-1) > 0).T
    reach = []
    for output in range(margin, length - margin):
        frames = np.flatnonzero(sees[output])
        reach.append((output - frames[0], frames[-1] - output))
    assert tuple(np.max(reach, axis=0)) == network.receptive_field
    assert not network.causal or not np.triu(sees, 1).any()


@pytest.mark.parametrize("network", NETWORKS[2:4], ids=names[2:4])
def test_a_padded_batch_gives_each_sequence_what_it_has_alone(network):
    variables = parameters(network)
    mask = np.arange(20) < np.array([[20], [13]])

    def loss(variables, x, mask=None):
        outputs = network.apply(variables, x, mask)
        return jnp.sin(outputs).sum(), outputs

    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    padded = np.where(mask[..., None], SEQUENCE, 99)  # whatever is there does not matter
    (of_params, of_sequence), outputs = gradient(variables, padded, mask)
    alone = [gradient(variables, SEQUENCE[:1]), gradient(variables, SEQUENCE[1:, :13])]
    for i, ((_, own_sequence), own) in enumerate(alone):
        np.testing.assert_allclose(outputs[i, : own.shape[1]], own[0], atol=1e-5)
        np.testing.assert_allclose(of_sequence[i, : own.shape[1]], own_sequence[0], atol=1e-4)
    np.testing.assert_array_equal(outputs[1, 13:], 0)
    np.testing.assert_array_equal(of_sequence[1, 13:], 0)
    total = jax.tree.map(jnp.add, alone[0][0][0], alone[1][0][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), of_params, total)


@pytest.mark.parametrize(("kind", "causal"), [("dilated", True), ("encoder_decoder", False)])
def test_classifies_sequences_and_frames(kind, causal):
    arguments = {"kind": kind, "channels": (4, 6), "causal": causal}
    mask = np.arange(20) < np.array([[20], [13]])
    for per_frame, shape in ((False, (2, 3)), (True, (2, 20, 3))):
        model = FrameTCN(3, per_frame=per_frame, **arguments)
        variables = parameters(model)
        assert set(variables["params"]) == {"tcn", "classifier"}
        if per_frame:
            assert jax.eval_shape(model.apply, variables, features=SEQUENCE)[0].shape == shape
            continue
        apply = jax.jit(model.apply)
        logits, ends = apply(variables, features=SEQUENCE, frame_mask=mask)
        assert logits.shape == shape and ends["hidden"].shape == (2, 20, 6 if kind == "dilated" else 4)
        alone, _ = apply(variables, features=SEQUENCE[1:, :13])
        np.testing.assert_allclose(logits[1:], alone, atol=1e-5)
    video = jnp.zeros((1, 4, 32, 32, 3))
    model = make_model("tcn", 3, backbone={"name": "resnet18", "width": 1 / 16}, dtype="bfloat16", **arguments)
    logits, _ = jax.eval_shape(model.apply, jax.eval_shape(model.init, jax.random.key(0), video), video)
    assert (logits.shape, logits.dtype) == ((1, 3), jnp.bfloat16)


def test_the_last_step_that_counts():
    x = np.arange(6.0).reshape(2, 3, 1)
    assert LastValid().apply({}, x, np.array([[1, 1, 0], [1, 0, 1]]))[:, 0].tolist() == [1, 5]
    assert LastValid().apply({}, x, None)[:, 0].tolist() == [2, 5]


def test_errors():
    message = "sees 13 frames, fewer than min_receptive_field = 64: take 5 channels in place of 2, or a kernel_size of "
    with pytest.raises(ValueError, match=message):
        FrameTCN(3, channels=(4, 4), min_receptive_field=64)
    for better in ({"channels": (4,) * 5}, {"channels": (4, 4), "kernel_size": 12}):
        assert FrameTCN(3, min_receptive_field=64, **better).receptive_field >= 64
    assert FrameTCN(3, channels=(4, 4), min_receptive_field=13).receptive_field == 13
    with pytest.raises(ValueError, match="fewer than min_receptive_field = 99: take 5 channels in place of 2, or"):
        FrameTCN(3, "encoder_decoder", (4, 4), min_receptive_field=99)
    with pytest.raises(ValueError, match="Unknown kind of TCN 'causal'; choose one of dilated, encoder_decoder"):
        FrameTCN(3, "causal")
    with pytest.raises(ValueError, match="a block and a kernel of 2 at least"):
        FrameTCN(3, channels=())
    for kind in ("dilated", "encoder_decoder"):
        model = FrameTCN(3, kind, channels=(4,))
        variables = parameters(model)
        with pytest.raises(ValueError, match="parameters are for features of width 5; got 4"):
            model.apply(variables, features=SEQUENCE[..., :4])
        with pytest.raises(ValueError, match=r"frame_mask leaves the sequences \[0, 1\] of the batch without a frame"):
            model.apply(variables, features=SEQUENCE, frame_mask=np.zeros((2, 20)))
