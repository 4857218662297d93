import dataclasses

import numpy as np
import pytest
from ml_collections import ConfigDict

from vidjax.inference import clip_logits


def test_any_number_of_clips_is_one_program(tiny_trained):
    """The last group is padded: its clips have the same logits alone."""
    video = np.random.default_rng(0).integers(0, 256, (3, 4, 40, 40, 3), np.uint8)
    logits = clip_logits.make_logits_fn(tiny_trained, clips_a_device=2)({"video": video})
    assert logits.shape == (3, 8) and logits.dtype == np.float32
    alone = clip_logits.make_logits_fn(tiny_trained)({"video": video[2:]})
    np.testing.assert_allclose(logits[2:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": {"prefix": "RGB", "layer": "Mixed_5c", "source": "i3d"}},
            "was trained on features .layer 'Mixed_5c' of i3d., not on videos",
        ),
        ({"inputs": {"target": "series"}}, "forecasts a series: evaluate it with vidjax.evaluate"),
        ({"clip": {"sampling": "chunks"}}, "classifies frames or chunks, not whole videos"),
        ({"config": ConfigDict({"target": "frame"})}, "classifies frames or chunks, not whole videos"),
        ({"labels": []}, "has no classes: use it with vidjax.features or init_from"),
    ],
)
def test_networks_that_do_not_classify_videos(changes, message, tiny_trained):
    with pytest.raises(ValueError, match=message):
        clip_logits.make_logits_fn(dataclasses.replace(tiny_trained, **changes))
