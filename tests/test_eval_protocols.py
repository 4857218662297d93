import jax
import numpy as np
import pytest

from vidjax import eval_protocols
from vidjax.eval_protocols import PROTOCOLS, Protocol, described, of, pooled


def test_protocols_by_name():
    assert of({}) == Protocol() and of({"num_views": 5, "num_crops": 3, "protocol": ""}) == Protocol(5, 3)
    assert of({"num_views": 5, "protocol": "10x3 views"}) == Protocol(10, 3)
    assert PROTOCOLS["25 frames x 10 crops, logits"] == Protocol(25, 10, "logits")
    with pytest.raises(
        ValueError, match="Unknown config.eval.protocol '30 views'; choose one of 'centre clip', '10 vi"
    ):
        of({"protocol": "30 views"})


@pytest.mark.parametrize(
    ("name", "num_frames", "text"),
    [
        ("centre clip", 16, "1 clip of 16 frames x 1 crop"),
        ("10x3 views", 16, "10 clips of 16 frames x 3 crops, mean of probabilities"),
        ("25 frames x 10 crops, logits", 1, "25 clips of 1 frame x 10 crops, mean of logits"),
        ("10 views, clip level", 8, "10 clips of 8 frames x 1 crop, each by itself"),
    ],
)
def test_descriptions(name, num_frames, text):
    assert described(PROTOCOLS[name], num_frames) == text
    assert described(PROTOCOLS[name], num_frames, multi_label=True) == f"{text}, AP of all videos"


def test_a_description_without_frames():
    assert described(PROTOCOLS["10x3 views"]) == "10 clips x 3 crops, mean of probabilities"


def test_the_description_of_charades():
    text = "10 clips of 64 frames x 3 crops, maximum, AP of labelled videos (Charades)"
    assert described(PROTOCOLS["charades"], 64, multi_label=True) == text


def test_pooling():
    """One sure clip outweighs two others in the mean of logits, not in that of probabilities."""
    logits = np.array([[[9.0, 0.0], [0.0, 2.0], [0.0, 2.0]]])
    assert pooled(logits, "logits").argmax() == 0 and pooled(logits, "probabilities").argmax() == 1
    p = np.asarray(jax.nn.softmax(logits))[0]
    np.testing.assert_allclose(pooled(logits, "probabilities")[0], p.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(pooled(logits, "maximum")[0], p.max(axis=0), rtol=1e-6)
    np.testing.assert_allclose(pooled(logits, "logits", jax.nn.sigmoid)[0], 1 / (1 + np.exp([-3, -4 / 3])), rtol=1e-5)
    with pytest.raises(ValueError, match="Unknown mean 'median'; choose one of probabilities, logits, maximum"):
        eval_protocols.pooled(logits, "median")
