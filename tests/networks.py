"""Networks that were not trained, for what does not depend on what a network has learned."""

import jax
import numpy as np

from vidjax import models, sharding
from vidjax.inference import restore

RESNET = {"backbone": {"name": "resnet18", "width": 1 / 16}}  # a backbone that compiles in seconds


def two_streams(backbone: dict, num_fields: int = 2) -> dict:
    """Arguments of the two-stream models: the same backbone on frames and on stacks of flow."""
    temporal = {"name": "stacked_flow", "backbone": backbone, "num_fields": num_fields}
    return {"spatial": {"name": "frame_pool", "backbone": backbone}, "temporal": temporal}


def network_of(name, num_frames=8, **arguments) -> restore.Trained:
    """With numbers around 0 for parameters; classes a, b and c; clips of 32x32."""
    model = models.make_model(name, 3, **arguments)
    spec = {"mean": [127.5] * 3, "std": [127.5] * 3}
    blank = {"video": np.zeros((1, num_frames, 32, 32, 3), np.uint8)}
    shapes = restore.abstract_variables(model, blank, spec)
    rng = np.random.default_rng(0)
    params, model_state = jax.tree.map(
        lambda x: np.float32(rng.normal(scale=0.1, size=x.shape) + (x.ndim == 1)), shapes
    )
    clip = {"num_frames": num_frames, "size": 32, "resize": 0}
    return restore.Trained("drawn", model, params, model_state, sharding.make_mesh(), list("abc"), spec, clip, {})


def clips(count=2, num_frames=8) -> np.ndarray:
    """Noise for `network_of`'s networks: uint8 (count, num_frames, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, num_frames, 32, 32, 3), np.uint8)
