import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models.ms_tcn import MSTCN
from vidjax.models.resnet import ResNet18

SEQUENCE = uniform("sequence", (2, 24, 5))
LENGTHS = (24, 17)
MASK = np.arange(24) < np.array(LENGTHS)[:, None]
GOLDEN = json.loads((Path(__file__).parents[1] / "peers" / "segmentation.json").read_text())


def parameters(model, x=SEQUENCE):
    """Halves of the formula's numbers, as in make_segmentation.py."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), features=x)["params"]
    return {"params": jax.tree.map(lambda x: x / 2, draw_tree(shapes))}


def test_equals_the_authors_code():
    """All stages; a padded batch here, each video alone there."""
    model = MSTCN(4, num_stages=3, num_layers=4, channels=8)
    variables, apply = parameters(model), jax.jit(model.apply)
    logits, ends = apply(variables, features=SEQUENCE, frame_mask=MASK)
    assert ends["stages"].shape == (3, 2, 24, 4) and ends["features"].shape == SEQUENCE.shape
    for i, length in enumerate(LENGTHS):
        np.testing.assert_allclose(ends["stages"][:, i, :length], np.array(GOLDEN["ms_tcn"][i]), atol=1e-5)
    np.testing.assert_array_equal(logits, ends["stages"][-1])

    swapped = SEQUENCE[:, [*range(9), 10, 9, *range(11, 24)]]
    _, ends = apply(variables, features=swapped, frame_mask=MASK)
    difference = np.abs(ends["stages"][:, 0] - np.array(GOLDEN["ms_tcn"][0])).max((1, 2))
    assert (difference > 1e-3).all()  # in every stage


@pytest.mark.parametrize(("num_classes", "expected"), [(19, 800_396), (11, 796_780), (48, 813_504)])
def test_number_of_parameters(num_classes, expected):
    """50Salads, GTEA and Breakfast with I3D features."""
    features = jnp.zeros((1, 2, 2048))
    shapes = jax.eval_shape(lambda: MSTCN(num_classes).init(jax.random.key(0), features=features))
    assert sum(x.size for x in jax.tree.leaves(shapes)) == expected
    assert GOLDEN["parameters"]["ms_tcn"][str(num_classes)] == expected


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("num_classes", "reach"), [(3, 2 * 3), (None, 3)])  # 2 stages of 1 + 2 frames, or 1 stage
def test_receptive_field(causal, num_classes, reach):
    model = MSTCN(num_classes, num_stages=2, num_layers=2, channels=8, causal=causal)
    x = uniform("long", (1, 40, 5))
    gradient = jax.jit(jax.grad(lambda x, variables: jnp.sin(model.apply(variables, features=x)[0][0, 20]).sum()))
    frames = np.flatnonzero(np.abs(gradient(x, parameters(model, x))[0]).max(-1))
    assert model.receptive_field == ((2 * reach, 0) if causal else (reach, reach))
    assert (20 - frames[0], frames[-1] - 20) == model.receptive_field


def test_a_causal_network_does_not_see_the_future():
    model = MSTCN(3, num_stages=2, num_layers=3, channels=8, causal=True)
    variables, apply = parameters(model), jax.jit(model.apply)
    changed = SEQUENCE.copy()
    changed[:, 11:] = 5 * uniform("change", (2, 13, 5))
    before, after = (apply(variables, features=x)[1]["stages"] for x in (SEQUENCE, changed))
    np.testing.assert_array_equal(before[:, :, :11], after[:, :, :11])
    assert (np.abs(before - after)[:, :, 11] > 0).any()


def test_a_look_ahead_shows_that_many_frames_of_the_future():
    """The label of frame 5 comes from the frames 0 to 8; the last label of a sequence sees its last frame again."""
    arguments = {"num_stages": 2, "num_layers": 2, "channels": 8, "causal": True}
    model, variables = MSTCN(3, look_ahead=3, **arguments), parameters(MSTCN(3, **arguments))
    gradient = jax.jit(jax.grad(lambda x: jnp.sin(model.apply(variables, features=x)[0][0, 5]).sum()))
    seen = np.abs(gradient(SEQUENCE)[0]).max(-1) > 0
    assert seen[:9].all() and not seen[9:].any() and model.receptive_field == (9, 3)
    logits, ends = jax.jit(model.apply)(variables, features=SEQUENCE, frame_mask=MASK)
    assert ends["stages"].shape == (2, 2, 24, 3) and ends["hidden"].shape == (2, 24, 8)
    for row, length in enumerate(LENGTHS):
        longer = SEQUENCE[row : row + 1, np.minimum(np.arange(length + 3), length - 1)]
        expected, _ = MSTCN(3, **arguments).apply(variables, features=longer)
        np.testing.assert_allclose(logits[row, :length], expected[0, 3:], atol=1e-5)
    np.testing.assert_array_equal(logits[1, 17:], 0)


@pytest.mark.parametrize("causal", [False, True])
def test_a_padded_batch_gives_each_sequence_what_it_has_alone(causal):
    model = MSTCN(3, num_stages=2, num_layers=3, channels=8, causal=causal)
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
        np.testing.assert_allclose(of_sequence[i, : own.shape[2]], own_sequence[0], atol=1e-5)
    np.testing.assert_array_equal(stages[:, 1, 17:], 0)
    np.testing.assert_array_equal(of_sequence[1, 17:], 0)
    total = jax.tree.map(jnp.add, alone[0][0][0], alone[1][0][0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), of_params, total)


def test_without_classes_it_returns_the_outputs_of_the_first_stage():
    arguments = {"num_stages": 2, "num_layers": 2, "channels": 8}
    variables = parameters(MSTCN(3, **arguments))
    _, ends = MSTCN(3, **arguments).apply(variables, features=SEQUENCE, frame_mask=MASK)
    model = MSTCN(None, **arguments)
    assert set(parameters(model)["params"]) == {"stage0"}
    hidden, own = model.apply(variables, features=SEQUENCE, frame_mask=MASK)
    assert hidden.shape == (2, 24, 8) and set(own) == {"features", "hidden"}
    np.testing.assert_array_equal(hidden, ends["hidden"])
    np.testing.assert_array_equal(hidden[1, 17:], 0)


def test_bfloat16_and_videos():
    arguments = {"num_stages": 2, "num_layers": 2, "channels": 8}
    model = MSTCN(3, **arguments, dtype=jnp.bfloat16)
    variables = parameters(model)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    logits, _ = model.apply(variables, features=SEQUENCE)
    precise, _ = MSTCN(3, **arguments).apply(variables, features=SEQUENCE)
    assert logits.dtype == jnp.bfloat16
    np.testing.assert_allclose(logits.astype(np.float32), precise, atol=0.03)

    video = jnp.zeros((1, 4, 32, 32, 3))
    model = MSTCN(3, **arguments, backbone=ResNet18(width=1 / 16))
    logits, ends = jax.eval_shape(model.apply, jax.eval_shape(model.init, jax.random.key(0), video), video)
    assert logits.shape == (1, 4, 3) and ends["features"].shape[:2] == (1, 4)


def test_dropout_acts_in_training_only():
    model = MSTCN(3, num_stages=1, num_layers=1, channels=8)
    variables = parameters(model)
    drawn = [
        model.apply(variables, features=SEQUENCE, train=True, rngs={"dropout": jax.random.key(i)})[0] for i in (0, 1)
    ]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-2
    without = MSTCN(3, num_stages=1, num_layers=1, channels=8, dropout=0.0)
    trained, evaluated = (without.apply(variables, features=SEQUENCE, train=train)[0] for train in (True, False))
    np.testing.assert_array_equal(trained[:, :, -1], evaluated)  # in training the outputs are those of all stages


def test_errors():
    for name in ("num_stages", "num_layers", "channels"):
        with pytest.raises(ValueError, match=f"MS-TCN needs {name} of at least 1; got 0"):
            MSTCN(3, **{name: 0})
    for arguments in ({"look_ahead": 2}, {"look_ahead": -1, "causal": True}):
        with pytest.raises(ValueError, match="look_ahead = .* needs causal = True, and must be 0 or more frames"):
            MSTCN(3, **arguments)
    model = MSTCN(3, num_stages=1, num_layers=1, channels=4)
    variables = parameters(model)
    with pytest.raises(ValueError, match="parameters are for features of width 5; got 4"):
        model.apply(variables, features=SEQUENCE[..., :4])
    with pytest.raises(ValueError, match=r"frame_mask leaves the sequences \[1\] of the batch without a frame"):
        model.apply(variables, features=SEQUENCE, frame_mask=np.arange(2)[::-1, None] * np.ones((2, 24)))
    with pytest.raises(ValueError, match="either a video or features, and one of them is needed"):
        model.apply(variables)
    with pytest.raises(ValueError, match="no backbone for videos"):
        model.apply(variables, np.zeros((1, 2, 32, 32, 3), np.float32))
