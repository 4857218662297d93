"""Networks as embedders: video -> vector. Distances between the vectors tell classes apart, new classes included."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from vidjax import checksums
from vidjax.data import clips
from vidjax.inference import clip_logits, restore
from vidjax.models.videomae_pretrain import VideoMAEPretrain
from vidjax.preprocess import described

DISTANCES = ("euclidean", "cosine")
Distance = str | Callable[[np.ndarray, np.ndarray], np.ndarray]  # (A, D), (B, D) -> (A, B)


class Embedder(NamedTuple):
    """An embedder in use.

    Attributes:
        network: how it reads videos, a restored or an exported network; with its name.
        digest: see `digest_of`.
        distance: between its embeddings.
        embed: the clips of a video, see `views.read_views` -> its embedding, float32 (D,).
    """

    network: Any
    digest: str
    distance: Distance
    embed: Callable[[clips.Clip], np.ndarray]


def of_run(run: restore.Trained, clips_a_device: int = 1) -> Embedder:
    """Returns the embedder of a restored network. Errors: see `embedder_of` and `clip_logits.check_sees_videos`."""
    network = embedder_of(run)
    return Embedder(network, digest_of(run), distance_of(run), make_embed_fn(network, clips_a_device))


def embedder_of(run: restore.Trained) -> restore.Trained:
    """Returns a network whose outputs are embeddings: a classifier without its last layer, or a run with a metric loss.

    Raises:
        ValueError: for a network that does not see whole videos, or does not classify them.
    """
    target = run.config.get("target", "clip") if run.config else "clip"
    if target != "clip" or run.clip.get("sampling") == "chunks" or {"target", "caption_length"} & set(run.inputs):
        raise ValueError(
            f"{run.name} labels frames or chunks, forecasts or writes captions: embeddings need a network that "
            "classifies whole videos, or one trained with a metric loss."
        )
    run = encoder_of(run)
    model = run.model.clone(num_classes=None) if clip_logits.returns_logits(run) else run.model
    return dataclasses.replace(run, model=model, labels=[])


def encoder_of(run: restore.Trained) -> restore.Trained:
    """Returns a run that reconstructs clips as the encoder of whole clips that it pretrained, and others unchanged."""
    if not isinstance(run.model, VideoMAEPretrain):
        return run
    params = {"encoder": run.params["encoder"]}
    return dataclasses.replace(run, model=run.model.of_whole_clips(), params=params, labels=[])


def distance_of(run: restore.Trained) -> Distance:
    """Returns the distance to use: cosine between features of a classifier, else what the loss trained.

    That is the Euclidean distance, or the learned one of `models.siamese`. Between features of an I3D that was trained
    on other classes the cosine distance separated new classes better than the Euclidean one.
    """
    if clip_logits.returns_logits(run):
        return "cosine"
    if run.config.loss.name != "siamese":
        return "euclidean"
    compare = jax.jit(functools.partial(run.model.apply, method="compare"))

    def learned(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        size = max(1, 2**24 // b.size)  # rows at a time: (size, B, D) fits in memory
        parts = [compare({"params": run.params}, a[i : i + size], b) for i in range(0, len(a), size)]
        return -np.concatenate(parts)

    return learned


def name_of(distance: Distance) -> str:
    return distance if isinstance(distance, str) else "learned"


def make_embed_fn(embedder: restore.Trained, clips_a_device: int = 1) -> Callable[[clips.Clip], np.ndarray]:
    """Returns the compiled function from the clips of a video, see `views.read_views`, to its embedding, float32 (D,).

    Errors: see `clip_logits.check_sees_videos`.
    """
    outputs_fn = clip_logits.make_outputs_fn(embedder, clips_a_device)
    return lambda views: pooled(outputs_fn(views)[None])[0]


def pooled(outputs: np.ndarray) -> np.ndarray:
    """Averages outputs (N, V, ..., D) over clips, time and space: float32 (N, D)."""
    return outputs.reshape(len(outputs), -1, outputs.shape[-1]).mean(axis=1, dtype=np.float64).astype(np.float32)


def digest_of(run: restore.Trained) -> str:
    """Returns 16 hexadecimal digits that change with the parameters, the architecture, or the reading of videos.

    The same network has the same digest as an embedder, on any number of devices, and in another directory.
    """
    method = run.preprocess.get("flow")
    of_flow = method.variables() if isinstance(method, restore.LearnedFlow) else {}
    content = {
        "model": run.config.model.to_dict() if run.config else None,  # parameters tell published networks apart
        "preprocess": described(run.preprocess),
        "clip": dict(run.clip),
        "inputs": {name: run.inputs.get(name, 0) for name in ("fps", "short_side")},
        "arrays": checksums.checksums_of(jax.device_put({"params": run.params, **run.model_state, "flow": of_flow})),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()[:16]


def distances(a: np.ndarray, b: np.ndarray, distance: Distance = "euclidean") -> np.ndarray:
    """Returns the distance between each row of `a` and each of `b`: float (A, D), (B, D) -> float64 (A, B).

    Args:
        distance: "euclidean"; "cosine", 1 minus the cosine of the angle, in [0, 2]; or a function of `a` and `b`.

    Equal rows are at distance 0 exactly, so that ties are exact too.

    Raises:
        ValueError: for an unknown distance, or a zero vector, which has no angle.
    """
    if callable(distance):
        return np.asarray(distance(a, b), np.float64)
    if distance not in DISTANCES:
        raise ValueError(f"Unknown distance {distance!r}; choose one of {', '.join(DISTANCES)}.")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if distance == "cosine":
        lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
        if not all(length.all() for length in lengths):
            raise ValueError(
                "An embedding is all zeros, so it has no angle: remove its video, or take another network."
            )
        a, b = a / lengths[0], b / lengths[1]
    squares = np.empty((len(a), len(b)))
    for i, row in enumerate(a):  # row by row bounds the memory
        difference = b - row
        squares[i] = np.einsum("bd,bd->b", difference, difference)
    return squares / 2 if distance == "cosine" else np.sqrt(squares)
