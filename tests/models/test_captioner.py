import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models import make_model

ARGUMENTS = {"network": {"name": "r3d_18", "width": 0.0625}, "embedding": 5, "hidden": 8, "grid": (1, 2)}
VIDEO = jax.random.normal(jax.random.key(1), (2, 8, 32, 32, 3))
TOKENS = jnp.array([[0, 3, 1, 2], [0, 2, 2, 5]])


@pytest.fixture(scope="module")
def captioner():
    model = make_model("captioner", 6, **ARGUMENTS)
    return model, jax.jit(lambda: model.init(jax.random.key(0), VIDEO, tokens=TOKENS))()


def test_logits_of_each_word(captioner):
    model, variables = captioner
    logits, ends = jax.jit(lambda v: model.apply(v, VIDEO, tokens=TOKENS))(variables)
    assert logits.shape == (2, 4, 6)
    assert ends["features"].shape == (2, 64)  # 2 places of 32 channels
    assert set(variables["params"]) == {"network", "words", "lstm", "classifier"}


def test_no_word_depends_on_those_after_it(captioner):
    model, variables = captioner
    decode = jax.jit(lambda tokens: model.apply(variables, jnp.ones((2, 64)), tokens, method="decode")[0])
    before, after = decode(TOKENS), decode(TOKENS.at[:, 2].set(4))
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert (jnp.abs(before[:, 2:] - after[:, 2:]).max(-1) > 1e-4).all()


def test_word_by_word_equals_the_caption_at_once(captioner):
    model, variables = captioner
    described = jax.random.normal(jax.random.key(2), (2, 64))
    at_once, _ = model.apply(variables, described, TOKENS, method="decode")
    carry = None
    for i in range(TOKENS.shape[1]):
        word = TOKENS[:, i : i + 1]
        logits, carry = model.apply(variables, described, word, carry, method="decode")
        np.testing.assert_allclose(logits[:, 0], at_once[:, i], atol=1e-6)


def test_the_grid_says_what_is_where(captioner):
    """A frame mirrored left to right, by a network whose kernels are mirrored too, swaps the halves of the features."""
    model, variables = captioner
    mirrored = jax.tree_util.tree_map_with_path(
        lambda path, x: x[:, :, ::-1] if x.ndim == 5 else x, variables["params"]["network"]
    )
    mirrored = {**variables, "params": {**variables["params"], "network": mirrored}}
    # 33 pixels: windows with a stride of 2 lie symmetrically
    video = jax.random.normal(jax.random.key(3), (1, 8, 33, 33, 3))
    encode = jax.jit(lambda variables, video: model.apply(variables, video, method="encode"))
    features, other = encode(variables, video), encode(mirrored, video[:, :, :, ::-1])
    left, right = jnp.split(features, 2, axis=1)
    np.testing.assert_allclose(other, jnp.concatenate([right, left], 1), atol=1e-5)
    assert jnp.abs(left - right).max() > 1e-3


def test_frames_that_do_not_count(captioner):
    model, variables = captioner
    mask = jnp.arange(16) < 8
    padded = jnp.concatenate([VIDEO, 1e3 * jnp.ones_like(VIDEO)], 1)
    encode = jax.jit(lambda video, mask: model.apply(variables, video, frame_mask=mask, method="encode"))
    changed = padded.at[:, 8:].set(-1e3)
    mask = jnp.broadcast_to(mask, (2, 16))
    np.testing.assert_array_equal(encode(padded, mask), encode(changed, mask))


def test_errors(captioner):
    model, _ = captioner
    for changes, message in (({"layer": "layer5"}, "no maps 'layer5'; choose model.layer from stem, layer1"),):
        with pytest.raises(ValueError, match=message):
            changed = model.clone(**changes)
            jax.eval_shape(lambda m=changed: m.init(jax.random.key(0), VIDEO, tokens=TOKENS))
