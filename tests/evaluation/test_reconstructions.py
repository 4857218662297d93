import dataclasses

import jax
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax import sharding
from vidjax.data import pipeline
from vidjax.evaluation import reconstructions
from vidjax.models import make_model
from vidjax.models.videomae_pretrain import normalise, pixels_of_tokens

SPEC = {"mean": [100.0, 120.0, 140.0], "std": [50.0, 60.0, 70.0]}


@pytest.mark.parametrize("normalised", [True, False])
def test_a_perfect_prediction_restores_the_clip(normalised):
    model = make_model("videomae_pretrain", patch=(2, 4, 4), normalised=normalised)
    video = uniform("video", (2, 4, 8, 8, 3))
    masked = np.array([[0, 1, 2, 4, 5, 6]] * 2)  # of 8 tokens
    pixels = pixels_of_tokens(video, model.patch)[:, masked[0]]
    predicted = normalise(pixels) if normalised else pixels
    ends = {"masked": masked, "predicted": predicted.reshape(2, 6, -1)}
    hidden, restored = reconstructions.reconstruct(model, video, ends)
    np.testing.assert_allclose(restored, video, atol=1e-5)
    assert not np.any(hidden[:, :, :4]) and not np.any(hidden[:, :, 4:, :4])
    np.testing.assert_array_equal(hidden[:, :, 4:, 4:], video[:, :, 4:, 4:])


def test_levels_undo_the_normalisation():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16, 1).repeat(3, -1)
    normalised = (levels - np.array(SPEC["mean"])) / SPEC["std"]
    np.testing.assert_array_equal(reconstructions.to_levels(normalised, SPEC), levels)
    assert reconstructions.to_levels(np.full((1, 3), 99.0), SPEC).max() == 255


def test_clips_are_evenly_spaced(numbered_records):
    source = pipeline.open_records(numbered_records, ["train"])
    shown = reconstructions.evenly(source, 3)
    assert [shown[i].media_id for i in range(len(shown))] == ["video 0", "video 5", "video 10"]
    assert len(reconstructions.evenly(dataclasses.replace(source, places=source.places[:2]))) == 2


def test_the_compiled_function_and_the_picture(tmp_path):
    sizes = {"dim": 8, "depth": 1, "num_heads": 2, "decoder_dim": 8, "decoder_depth": 1, "decoder_heads": 2}
    model, mesh = make_model("videomae_pretrain", patch=(2, 8, 8), mask_ratio=0.75, **sizes), sharding.make_mesh()
    batch = {"video": np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), np.uint8)}
    params = jax.jit(model.init)(jax.random.key(0), np.zeros((2, 5, 16, 16, 3), np.float32))["params"]
    whole = sharding.replicated(mesh)
    shardings = jax.tree.map(lambda _: whole, params), {}
    originals, hidden, restored = reconstructions.make_draw_fn(model, SPEC, mesh, shardings)(params, {}, batch)
    np.testing.assert_array_equal(originals, batch["video"][:, :4])  # the fifth frame fills no tubelet
    same = (np.asarray(hidden) == batch["video"][:, :4]).reshape(2, 4, 2, 8, 2, 8, 3).all((0, 1, 3, 5, 6))
    assert same.sum() == 1  # one of four places is visible
    assert restored.shape == hidden.shape and restored.dtype == np.uint8
    reconstructions.draw((originals, hidden, restored), tmp_path / "clips.png")
    assert (tmp_path / "clips.png").stat().st_size > 1000
