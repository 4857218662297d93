"""Where in space and time a convolutional network looks: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (ICCV 2017,
https://arxiv.org/abs/1610.02391), equations 1 and 2, with positions in time as well as in space.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax import compile_options, step
from vidjax.preprocess import Spec

MIN_SIDE = 4  # positions: maps that are lower or narrower say too little of where


def find_layer(apply: Callable, *arguments) -> str:
    """The last layer whose maps have at least `MIN_SIDE` positions in height and width, or the last with any maps.

    Args:
        apply: runs the network on `arguments`, which may be shapes.

    Returns:
        Its path, as "backbone/layer2_1"; "" where the network has no maps.
    """
    found = {}

    def note(next_function, args, kwargs, context):
        y = next_function(*args, **kwargs)
        maps = y[0] if isinstance(y, tuple) else y  # recurrent layers return their carry too
        if context.method_name == "__call__" and getattr(maps, "ndim", 0) == 5 and min(maps.shape[2:4]) > 1:
            # A block ends after the layers in it
            found[min(maps.shape[2:4]) >= MIN_SIDE] = "/".join(context.module.path)
        return y

    with nn.intercept_methods(note):
        jax.eval_shape(lambda *arguments: apply(*arguments), *arguments)  # traced anew each time
    return found.get(True, found.get(False, ""))


class GradCam(NamedTuple):
    """Where a network looks, by the maps of one layer.

    Attributes:
        layer: its path, as "backbone/layer2_1".
        heat_of: (clip, class) -> how much each place speaks for the class, float32 (T, H, W), from 0 to 1, and 0
            everywhere where nothing does. The clip is a batch of one, as of `step.apply_model`: `video` uint8
            (1, T, H, W, C) and what else the network sees. Of networks with one label a frame the class's logits are
            summed over the frames.
    """

    layer: str
    heat_of: Callable[[step.Batch, int], np.ndarray]


def make_grad_cam(
    params: dict, model_state: dict, batch: step.Batch, *, model: nn.Module, spec: Spec
) -> GradCam | None:
    """Finds the layer and compiles once, for clips of the shapes of `batch`; None of a network without maps.

    Maps are taken as the layer returns them (of plain networks, VGG and C3D, before rectification), and interpolated to
    the size of the clip in time as in space. Of two streams it is the layer that comes last. Of a network on several
    clips of a video each clip has weights of its own.
    """
    apply = functools.partial(step.apply_model, model=model, spec=spec)
    path = find_layer(apply, params, model_state, batch)
    if not path:
        return None

    def score(added, params, model_state, batch, label):
        kept = []

        def add(next_function, args, kwargs, context):
            y = next_function(*args, **kwargs)
            if context.method_name == "__call__" and "/".join(context.module.path) == path:
                maps, *rest = y if isinstance(y, tuple) else (y,)
                maps = maps if added is None else maps + added
                kept.append(maps)
                y = (maps, *rest) if isinstance(y, tuple) else maps
            return y

        with nn.intercept_methods(add):
            outputs, _ = apply(params, model_state, batch)
        return outputs[..., label].sum(), kept[-1]

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(model))
    def heat_of(params, model_state, batch, label):
        maps = jax.eval_shape(score, None, params, model_state, batch, label)[1]
        nothing = jnp.zeros(maps.shape, maps.dtype)  # added to the maps, for a gradient with respect to them
        (_, maps), gradient = jax.value_and_grad(score, has_aux=True)(nothing, params, model_state, batch, label)
        weights = gradient.astype(jnp.float32).mean((1, 2, 3), keepdims=True)  # equation 1
        heat = nn.relu((weights * maps).sum(-1))  # equation 2: (N, T', H', W')
        heat = heat.reshape(-1, *heat.shape[2:])  # clips of a video follow each other
        shape = next(x.shape for _, x in sorted(batch.items(), reverse=True) if x.ndim == 5)
        heat = nn.relu(jax.image.resize(heat, shape[1:4], "linear"))
        return heat / jnp.maximum(heat.max(), jnp.finfo(heat.dtype).tiny)

    return GradCam(path, lambda batch, label: np.asarray(heat_of(params, model_state, batch, label)))
