import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models import make_model

FEATURES = uniform("features", (2, 6, 16))
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]])
MODEL = make_model("attentive_pooler", 3, num_heads=4)
VARIABLES = draw_tree(jax.eval_shape(lambda: MODEL.init(jax.random.key(0), features=FEATURES)))
apply = jax.jit(MODEL.apply)


def test_one_query_attends_to_all_features():
    """Attention and norm by hand, in NumPy."""
    pooler = VARIABLES["params"]["pooler"]
    dense = {name: lambda x, p=p: x @ p["kernel"] + p["bias"] for name, p in pooler["attention"].items()}
    query = dense["query"](pooler["query"]).reshape(4, 4)  # (heads, width)
    query = query * np.log1p(np.exp(pooler["head_scale"])) / np.log(2) / 2
    key, value = (dense[name](FEATURES).reshape(2, 6, 4, 4) for name in ("key", "value"))
    weights = np.exp(np.einsum("hd,bnhd->bnh", query, key))
    weights /= weights.sum(1, keepdims=True)
    x = dense["out"](np.einsum("bnh,bnhd->bhd", weights, value).reshape(2, 16))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    _, ends = apply(VARIABLES, features=FEATURES)
    np.testing.assert_allclose(ends["pooled"], x * pooler["norm"]["scale"] + pooler["norm"]["bias"], atol=1e-5)


def test_masked_is_filtered_and_the_order_does_not_matter():
    logits, _ = apply(VARIABLES, features=FEATURES, frame_mask=MASK)
    order = np.array([2, 0, 5, 3, 1, 4])
    np.testing.assert_allclose(
        apply(VARIABLES, features=FEATURES[:, order], frame_mask=MASK[:, order])[0], logits, atol=1e-5
    )
    filtered, _ = apply(VARIABLES, features=FEATURES[1:, MASK[1] == 1])
    np.testing.assert_allclose(logits[1:], filtered, atol=1e-5)
    assert np.abs(logits[1] - apply(VARIABLES, features=FEATURES)[0][1]).max() > 1e-3


def test_gradients_reach_every_parameter():
    gradient = jax.grad(lambda v: apply(v, features=FEATURES)[0][:, 0].sum())(VARIABLES)["params"]
    still = [path for path, x in jax.tree.leaves_with_path(gradient) if not np.abs(x).max() > 1e-9]
    assert [jax.tree_util.keystr(path, simple=True, separator="/") for path in still] == []
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_without_a_classifier_and_with_a_backbone():
    pooled, _ = make_model("attentive_pooler", None, num_heads=4).apply(
        {"params": {"pooler": VARIABLES["params"]["pooler"]}}, features=FEATURES
    )
    np.testing.assert_allclose(pooled, apply(VARIABLES, features=FEATURES)[1]["pooled"], atol=1e-6)
    model = make_model("attentive_pooler", 3, num_heads=4, backbone={"name": "resnet18", "width": 1 / 16})
    video = jnp.zeros((2, 5, 32, 32, 3))
    (logits, ends), _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), video))
    assert logits.shape == (2, 3) and ends["features"].shape == (2, 5, 32) and ends["pooled"].shape == (2, 32)


def test_what_is_refused():
    with pytest.raises(ValueError, match="num_heads = 5 does not divide the width of the features, 16"):
        make_model("attentive_pooler", 3, num_heads=5).init(jax.random.key(0), features=FEATURES)
    with pytest.raises(ValueError, match="parameters are for features of width 16; got 12"):
        MODEL.apply(VARIABLES, features=FEATURES[..., :12])
    with pytest.raises(ValueError, match=r"leaves the sequences \[1\] of the batch without a frame"):
        MODEL.apply(VARIABLES, features=FEATURES, frame_mask=MASK * [[1], [0]])
