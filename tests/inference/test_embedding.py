import dataclasses

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests import networks
from vidjax import models
from vidjax.inference import clip_logits, embedding

A = np.array([[3.0, 4], [0, 2]])


def test_distances_by_hand():
    assert embedding.distances(A, A).tolist() == [[0, np.sqrt(13)], [np.sqrt(13), 0]]
    np.testing.assert_allclose(embedding.distances(A, A, "cosine"), [[0, 0.2], [0.2, 0]], atol=1e-15)
    np.testing.assert_allclose(embedding.distances(A, -5 * A, "cosine"), [[2, 1.8], [1.8, 2]], atol=1e-15)
    assert embedding.distances(A, A[:1], lambda a, b: a @ b.T).tolist() == [[25], [8]]


def test_equal_rows_are_at_distance_zero():
    """Though they are long, nearly parallel to others, and float32."""
    rows = np.float32(1e3 + np.random.default_rng(0).random((5, 300)))
    for distance in embedding.DISTANCES:
        assert (embedding.distances(rows, rows, distance).diagonal() == 0).all()


def test_distances_that_are_refused():
    with pytest.raises(ValueError, match="Unknown distance 'l1'; choose one of euclidean, cosine"):
        embedding.distances(A, A, "l1")
    with pytest.raises(ValueError, match="all zeros, so it has no angle"):
        embedding.distances(A, 0 * A, "cosine")


def test_a_classifier_gives_its_features():
    """The classifier of `frame_pool` on the embedding gives the logits; clips are averaged."""
    run = networks.network_of("frame_pool", 4, **networks.RESNET)
    views = {"video": networks.clips(2, 4)}
    embedder = embedding.embedder_of(run)
    found = embedding.make_embed_fn(embedder)(views)
    assert found.shape == (32,) and found.dtype == np.float32
    logits = clip_logits.make_logits_fn(run)(views).mean(axis=0)
    layer = run.params["classifier"]
    np.testing.assert_allclose(found @ layer["kernel"] + layer["bias"], logits, rtol=1e-4, atol=1e-5)
    assert embedding.distance_of(run) == "cosine"


def test_maps_are_averaged_over_clips_time_and_space():
    outputs = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # (N, V, T, D)
    np.testing.assert_allclose(embedding.pooled(outputs), outputs.mean((1, 2)))


def test_a_run_with_a_metric_loss_gives_its_outputs():
    config = ConfigDict({"loss": {"name": "triplet"}, "model": {"name": "frame_pool"}})
    run = dataclasses.replace(networks.network_of("frame_pool", 4, **networks.RESNET), config=config)
    views = {"video": networks.clips(1, 4)}
    assert embedding.distance_of(run) == "euclidean"
    assert embedding.make_embed_fn(embedding.embedder_of(run))(views).shape == (3,)
    with pytest.raises(ValueError, match="loss 'triplet', so that it returns embeddings: predict with --gallery"):
        clip_logits.make_logits_fn(run)


def test_the_learned_distance_of_a_siamese_network():
    """The negative logit of "same class"."""
    model = models.make_model("siamese", width=1 / 64)
    a, b = np.random.default_rng(0).random((2, 5, 64), np.float32)
    params = {"distance": {"kernel": np.linspace(-1, 0.5, 64, dtype=np.float32)[:, None], "bias": np.ones(1, "f")}}
    config = ConfigDict({"loss": {"name": "siamese"}})
    run = dataclasses.replace(networks.network_of("small_cnn", width=0.125), model=model, params=params, config=config)
    learned = embedding.distance_of(run)
    expected = [[-(np.abs(x - y) @ params["distance"]["kernel"][:, 0] + 1) for y in b[:3]] for x in a]
    np.testing.assert_allclose(embedding.distances(a, b[:3], learned), expected, rtol=1e-5)
    np.testing.assert_allclose(embedding.distances(a[:1], b[:3], learned), expected[:1], rtol=1e-5)
    assert embedding.name_of(learned) == "learned" and embedding.name_of("cosine") == "cosine"


@pytest.mark.parametrize(
    "changes",
    [{"clip": {"sampling": "chunks"}}, {"inputs": {"caption_length": 5}}, {"config": ConfigDict({"target": "frame"})}],
)
def test_networks_that_do_not_see_whole_videos(changes):
    run = networks.network_of("frame_pool", 4, **networks.RESNET)
    with pytest.raises(ValueError, match="embeddings need a network that classifies whole videos"):
        embedding.embedder_of(dataclasses.replace(run, **changes))


def test_the_digest_changes_with_what_embeddings_depend_on():
    run = networks.network_of("frame_pool", 4, **networks.RESNET)
    digest = embedding.digest_of(run)
    assert len(digest) == 16
    assert embedding.digest_of(embedding.embedder_of(run)) == digest
    assert embedding.digest_of(dataclasses.replace(run, name="moved", labels=[])) == digest
    nudged = jax.tree.map(np.copy, run.params)
    nudged["classifier"]["bias"][0] += 1e-6
    others = [{"params": nudged}, {"clip": {**run.clip, "size": 40}}, {"inputs": {"fps": 10.0}}]
    others += [{"preprocess": {"mean": [0.0] * 3, "std": [1.0] * 3}}]
    others += [{"config": ConfigDict({"model": {"name": "frame_pool", "pool": pool}})} for pool in ("max", "min")]
    digests = {embedding.digest_of(dataclasses.replace(run, **changes)) for changes in others}
    assert len(digests | {digest}) == 7
