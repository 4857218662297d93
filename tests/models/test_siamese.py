import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models.siamese import Siamese

PEER = json.loads((Path(__file__).parents[1] / "peers" / "embedding_losses.json").read_text())


def shapes_of(model, video=(1, 1, 105, 105, 3)):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(video))


def test_as_many_parameters_as_published():
    params = shapes_of(Siamese())["params"]
    count = lambda *names: sum(x.size for name in names for x in jax.tree.leaves(params[name]))  # noqa: E731
    assert [count("conv1", "conv2", "conv3", "conv4"), count("fc"), count("distance")] == [1194816, 37752832, 4097]
    assert count(*params) == 38951745


def test_pairs_and_embeddings_are_those_of_torch():
    model = Siamese(width=0.125)
    drawings = np.repeat(uniform("drawings", (3, 1, 105, 105)).transpose(0, 2, 3, 1)[:, None], 3, -1)  # grey
    variables = {"params": draw_tree(shapes_of(model)["params"])}
    embeddings, _ = jax.jit(model.apply)(variables, drawings)
    np.testing.assert_allclose(embeddings[:, :8], PEER["siamese_embedding"], atol=1e-4)
    compared = model.apply(variables, embeddings[:2], embeddings, method="compare")
    np.testing.assert_allclose(compared, PEER["siamese_pairs"][:2], atol=1e-4)
    assert np.abs(compared[0] - np.array(PEER["siamese_pairs"][1])).max() > 0.02
    pairs, ends = jax.jit(lambda v, x: model.apply(v, x, train=True))(variables, drawings)
    np.testing.assert_allclose(pairs, PEER["siamese_pairs"], atol=1e-4)
    np.testing.assert_allclose(ends["embedding"], embeddings, atol=1e-6)


def test_a_clip_has_the_mean_of_the_embeddings_of_its_frames_that_count():
    model, video = Siamese(width=0.0625), uniform("video", (2, 3, 65, 65, 3))
    variables = {"params": draw_tree(shapes_of(model, video.shape)["params"])}
    found, ends = jax.jit(model.apply)(variables, video, frame_mask=np.array([[1.0, 1, 0], [1, 1, 1]]))
    of_frames = np.asarray(ends["features"])  # (2, 3, 256)
    np.testing.assert_allclose(found, [of_frames[0, :2].mean(0), of_frames[1].mean(0)], atol=1e-6)


def test_a_classifier_takes_the_place_of_the_comparison():
    model = Siamese(num_classes=7, width=0.125)
    variables = shapes_of(model)
    assert "distance" not in variables["params"]
    outputs, _ = jax.eval_shape(lambda v: model.apply(v, jnp.zeros((2, 1, 105, 105, 3)), train=True), variables)
    assert outputs.shape == (2, 7)


def test_small_frames_are_refused():
    with pytest.raises(ValueError, match="at least 65x65"):
        shapes_of(Siamese(), (1, 1, 64, 64, 3))
