import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models.asformer import ASFormer, instance_norm, window_attention, windows
from vidjax.models.resnet import ResNet18

SEQUENCE = uniform("sequence", (2, 24, 5))
LENGTHS = (24, 17)
MASK = np.arange(24) < np.array(LENGTHS)[:, None]
GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "segmentation.json").read_text())
SMALL = {"num_decoders": 1, "num_layers": 2, "channels": 8}


def parameters(model, x=SEQUENCE):
    """Halves of the formula's numbers, as in make_segmentation.py."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), features=x)["params"]
    return {"params": jax.tree.map(lambda x: x / 2, draw_tree(shapes))}


@pytest.mark.parametrize(("name", "published_bug"), [("asformer", False), ("asformer_published", True)])
def test_equals_the_authors_code(name, published_bug):
    """All stages; a padded batch here, each video alone there."""
    model = ASFormer(4, num_decoders=2, num_layers=4, channels=8, published_window_bug=published_bug)
    variables, apply = parameters(model), jax.jit(model.apply)
    logits, ends = apply(variables, features=SEQUENCE, frame_mask=MASK)
    assert ends["stages"].shape == (3, 2, 24, 4) and ends["features"].shape == SEQUENCE.shape
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(ends["stages"][:, i, :length], np.array(GOLDEN[name][i]), atol=1e-5)
    np.testing.assert_array_equal(logits, ends["stages"][-1])

    swapped = SEQUENCE[:, [*range(9), 10, 9, *range(11, 24)]]
    _, ends = apply(variables, features=swapped, frame_mask=MASK)
    difference = np.abs(ends["stages"][:, 0] - np.array(GOLDEN[name][0])).max((1, 2))
    assert (difference > 1e-3).all()  # in every stage


def test_the_published_bug_changes_the_outputs():
    for exact, published in zip(GOLDEN["asformer"], GOLDEN["asformer_published"], strict=True):
        assert (np.abs(np.array(exact) - np.array(published)).max((1, 2)) > 0.01).all()


@pytest.mark.parametrize(("num_classes", "expected"), [(19, 1_134_476), (11, 1_130_860), (48, 1_147_584)])
def test_number_of_parameters(num_classes, expected):
    """50Salads, GTEA and Breakfast with I3D features."""
    features = jnp.zeros((1, 2, 2048))
    shapes = jax.eval_shape(lambda: ASFormer(num_classes).init(jax.random.key(0), features=features))
    assert sum(x.size for x in jax.tree.leaves(shapes)) == expected
    assert GOLDEN["parameters"]["asformer"][str(num_classes)] == expected


def test_windows():
    """A row per query of a block, a column per key; half a window before the block and after it."""
    assert windows(1).tolist() == windows(1, published_bug=True).tolist() == [[1]]
    assert windows(2).astype(int).tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert windows(2, published_bug=True).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    assert windows(4).astype(int).tolist() == [
        [1, 1, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0],
    ]


@pytest.mark.parametrize("window", [1, 2, 4, 8, 64])  # 64 is more than every frame needs
def test_attention_equals_loops(window):
    query, key, value = (uniform(name, (2, 13, width)) for name, width in (("q", 3), ("k", 3), ("v", 2)))
    mask = np.arange(13) < np.array([[13], [6]])
    expected = np.zeros((2, 13, 2))
    for b in range(2):
        for t in range(13):
            seen = [s for s in range(t - window // 2, t - window // 2 + window) if 0 <= s < 13 and mask[b, s]]
            if seen:
                weights = np.exp(key[b, seen] @ query[b, t] / 3**0.5)
                expected[b, t] = weights @ value[b, seen] / weights.sum()
    outputs = window_attention(query, key, value, mask, window=window)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    assert (expected[1, 12] == 0).all() == (window < 64)  # a masked frame that sees no valid one gets zeros


def test_the_soft_mask_of_the_authors_attention():
    """Energies are around -13, so padding takes much of the weight; more frames, all masked, change nothing."""
    query, key, value = (uniform(name, (1, 11, 2)) for name in ("query", "key", "value"))
    alone = 1 + query / 4, key - 9, 1 + value
    padded = [np.pad(x, ((0, 0), (0, 4), (0, 0)), constant_values=99) for x in alone]
    expected = np.array(GOLDEN["attention_published"])  # after a ReLU, which changes nothing
    for inputs, mask in ((alone, None), (padded, np.arange(15)[None] < 11)):
        outputs = window_attention(*inputs, mask, window=4, published_bug=True)[0, :11]
        np.testing.assert_allclose(outputs, expected, atol=1e-6)
    exact = window_attention(*alone, window=4)[0]
    assert (np.abs(exact - expected)[[0, -1]] > 0.1).any(1).all()


def test_memory_of_attention_grows_with_the_window_times_the_length():
    def memory(length, window):
        x = jax.ShapeDtypeStruct((1, length, 8), jnp.float32)
        attention = jax.jit(lambda q, k, v: window_attention(q, k, v, window=window))
        return attention.lower(x, x, x).compile().memory_analysis().temp_size_in_bytes

    assert memory(4096, 64) < 4096 * 4096  # a quarter of a full matrix of float32
    assert memory(8192, 64) < 2.5 * memory(4096, 64)


def test_instance_norm():
    """Valid frames 1, 3 and 5, 5: mean 2 and 5, standard deviation 1 and 0."""
    x = np.array([[[1.0, 5.0], [3.0, 5.0], [9.0, 9.0]]], np.float32)
    normed = instance_norm(x, np.array([[1, 1, 0]]))
    np.testing.assert_allclose(normed[0, :2], [[-1, 0], [1, 0]], atol=1e-4)
    np.testing.assert_allclose(instance_norm(x[:, :2]), normed[:, :2], atol=1e-6)


@pytest.mark.parametrize("published_bug", [False, True])
def test_a_padded_batch_gives_each_sequence_what_it_has_alone(published_bug):
    model = ASFormer(3, **SMALL, published_window_bug=published_bug)
    variables = parameters(model)

    def loss(variables, features, frame_mask=None):
        _, ends = model.apply(variables, features=features, frame_mask=frame_mask)
        return jnp.sin(ends["stages"]).sum(), ends["stages"]

    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    padded = np.where(MASK[..., None], SEQUENCE, 99)  # any value
    (of_params, of_sequence), stages = gradient(variables, padded, MASK)
    alone = [gradient(variables, SEQUENCE[:1]), gradient(variables, SEQUENCE[1:, :17])]
    for i, ((_, own_sequence), own) in enumerate(alone):
        np.testing.assert_allclose(stages[:, i, : own.shape[2]], own[:, 0], atol=1e-5)
        np.testing.assert_allclose(of_sequence[i, : own.shape[2]], own_sequence[0], atol=1e-4)
    np.testing.assert_array_equal(stages[:, 1, 17:], 0)
    np.testing.assert_array_equal(of_sequence[1, 17:], 0)
    total = jax.tree.map(jnp.add, alone[0][0][0], alone[1][0][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), of_params, total)


def test_without_classes_it_returns_the_outputs_of_the_encoder():
    variables = parameters(ASFormer(3, **SMALL))
    _, ends = jax.jit(ASFormer(3, **SMALL).apply)(variables, features=SEQUENCE, frame_mask=MASK)
    model = ASFormer(None, **SMALL)
    assert set(parameters(model)["params"]) == {"encoder"}
    hidden, own = jax.jit(model.apply)(variables, features=SEQUENCE, frame_mask=MASK)
    assert hidden.shape == (2, 24, 8) and set(own) == {"features", "hidden"}
    np.testing.assert_allclose(hidden, ends["hidden"], atol=1e-5)
    np.testing.assert_array_equal(hidden[1, 17:], 0)


def test_bfloat16_and_videos():
    model = ASFormer(3, **SMALL, dtype=jnp.bfloat16)
    variables = parameters(model)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, _ = jax.jit(model.apply)(variables, features=SEQUENCE)
    precise, _ = jax.jit(ASFormer(3, **SMALL).apply)(variables, features=SEQUENCE)
    assert logits.dtype == jnp.bfloat16
    np.testing.assert_allclose(logits.astype(np.float32), precise, atol=0.03)

    video = jnp.zeros((1, 4, 32, 32, 3))
    model = ASFormer(3, **SMALL, backbone=ResNet18(width=1 / 16))
    logits, ends = jax.eval_shape(model.apply, jax.eval_shape(model.init, jax.random.key(0), video), video)
    assert logits.shape == (1, 4, 3) and ends["features"].shape[:2] == (1, 4)


def test_channel_dropout_drops_a_channel_in_all_frames():
    """The encoder's first layer is the identity, and its only block adds nothing."""
    model = ASFormer(None, num_layers=1, channels=6, channel_dropout=0.5, dropout=0.0)
    x = np.ones((4, 7, 6), np.float32)
    params = jax.tree.map(jnp.zeros_like, parameters(model, x)["params"])
    params["encoder"]["input"]["kernel"] = jnp.eye(6)
    hidden, _ = model.apply({"params": params}, features=x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(hidden)) == {0, 2}
    np.testing.assert_array_equal(hidden, np.broadcast_to(hidden[:, :1], hidden.shape))
    np.testing.assert_array_equal(model.apply({"params": params}, features=x)[0], x)


def test_dropout_of_blocks():
    arguments = {"num_decoders": 0, "num_layers": 1, "channels": 8, "channel_dropout": 0.0}
    model = ASFormer(3, **arguments)
    variables = parameters(model)
    drawn = [
        model.apply(variables, features=SEQUENCE, train=True, rngs={"dropout": jax.random.key(i)})[0] for i in (0, 1)
    ]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-2
    without = ASFormer(3, **arguments, dropout=0.0)
    trained, evaluated = (without.apply(variables, features=SEQUENCE, train=train)[0] for train in (True, False))
    np.testing.assert_array_equal(trained[:, :, -1], evaluated)  # in training the outputs are those of all stages


def test_errors():
    with pytest.raises(ValueError, match="num_layers of at least 1 and num_decoders of at least 0; got 0 and 3"):
        ASFormer(3, num_layers=0)
    with pytest.raises(ValueError, match="channels = 7 is not a multiple of reduction = 2; change one"):
        ASFormer(3, channels=7)
    model = ASFormer(3, num_decoders=0, num_layers=1, channels=4)
    variables = parameters(model)
    with pytest.raises(ValueError, match="parameters are for features of width 5; got 4"):
        model.apply(variables, features=SEQUENCE[..., :4])
    with pytest.raises(ValueError, match=r"frame_mask leaves the sequences \[0, 1\] of the batch without a frame"):
        model.apply(variables, features=SEQUENCE, frame_mask=np.zeros((2, 24)))
    with pytest.raises(ValueError, match="either a video or features, and one of them is needed"):
        model.apply(variables)
    with pytest.raises(ValueError, match="no backbone for videos"):
        model.apply(variables, np.zeros((1, 2, 32, 32, 3), np.float32))
