"""Grad-CAM: where in space and time a network looks.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (ICCV 2017,
https://arxiv.org/abs/1610.02391), equations 1 and 2, with positions in time as well as in space.

Interpolating maps over time also spreads heat over frames that the network does not use: late fusion sees only the
first and the last frame of a clip, and a spatial stream only the middle frames of the stacks of flow. Unused frames get
no heat. A frame is unused if the gradient of the class's logit with respect to it is zero everywhere.

In a transformer the maps are the tokens after the first norm of a block, without class tokens: after the last block, a
network that classifies by its class token has no gradient for the others.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax import compile_options, step
from vidjax.preprocess import Spec

MIN_SIDE = 4  # positions; smaller maps locate too little
TOKENS_NORM = "norm1"  # the norm whose outputs are the maps of a transformer
STREAMS = {"spatial": "video", "temporal": "flow"}  # submodules of `models.two_stream` -> their inputs


class Layer(NamedTuple):
    """A layer with maps: its path, such as "backbone/layer2_1", and the shape of the maps, (B, T', H', W')."""

    path: str
    shape: tuple[int, int, int, int]


def find_layers(apply: Callable, *arguments) -> dict[str, Layer]:
    """Finds the last layer whose maps have at least `MIN_SIDE` positions per side, or else the last layer with maps.

    Args:
        apply: runs the network on `arguments`, which may be shapes.

    Returns:
        {"": the layer}. If that layer is in one of the `STREAMS`, the last such layer of each stream instead, by stream
        name. {} if the network has no maps.
    """
    found, shapes = {}, []  # of all maps so far; one of them is that of the tokens

    def note(next_function, args, kwargs, context):
        y = next_function(*args, **kwargs)
        maps = y[0] if isinstance(y, tuple) else y  # recurrent layers return their carry too
        path, ndim = context.module.path, getattr(maps, "ndim", 0)
        if context.method_name != "__call__" or ndim < 3:
            return y
        shape = maps.shape[:4] if ndim == 5 else None
        if ndim == 5:
            shapes.insert(0, shape)
        elif path and path[-1] == TOKENS_NORM:
            shape = next((s for s in shapes if maps_of_tokens(maps, s) is not None), None)
        if shape and min(shape[2:4]) > 1:
            for part in {"", stream_of(path)}:
                found[part, min(shape[2:4]) >= MIN_SIDE] = Layer("/".join(path), shape)  # a block after its layers
        return y

    with nn.intercept_methods(note):
        jax.eval_shape(lambda *arguments: apply(*arguments), *arguments)  # a new function, so that it is traced again
    layers = {part: found.get((part, True)) or found.get((part, False)) for part in ("", *STREAMS)}
    layers = {part: layer for part, layer in layers.items() if layer}
    if layers and stream_of(layers[""].path.split("/")):
        del layers[""]  # the order of the streams is arbitrary
        return layers
    return {part: layer for part, layer in layers.items() if not part}


def maps_of_tokens(tokens: jax.Array, shape: tuple[int, int, int, int]) -> jax.Array | None:
    """Arranges tokens as maps, without class tokens; None if they do not fit.

    Args:
        tokens: (B, [1 +] T' H' W', D), or those of each frame, (B T', [1 +] H' W', D) or (B, T', [1 +] H' W', D).
        shape: (B, T', H', W').

    Returns:
        (B, T', H', W', D).
    """
    batch, steps, height, width = shape
    tokens = tokens.reshape(-1, *tokens.shape[-2:])
    for rows, places in ((batch, steps * height * width), (batch * steps, height * width)):
        first = tokens.shape[1] - places
        if tokens.shape[0] == rows and first in (0, 1):
            return tokens[:, first:].reshape(*shape, -1)
    return None


def stream_of(path: Sequence[str]) -> str:
    """Returns the stream in `STREAMS` that contains a module; "" for other modules."""
    return path[0] if path and path[0] in STREAMS else ""


class Heat(NamedTuple):
    """Where a network, or one of its streams, looks.

    Attributes:
        level: evidence for the class, float32 (T, H, W), in [0, 1]; all 0 if nothing speaks for the class. T is the
            length of the network's input: one less than the clip if flow is computed from the clip.
        is_used: bool (T,), the frames that change the class's logit; the others have no heat. A field of flow counts
            as the frame that it starts from.
    """

    level: np.ndarray
    is_used: np.ndarray


class GradCam(NamedTuple):
    """Where a network looks, from the maps of one layer, or of one layer per stream.

    Attributes:
        layers: the paths of the layers, see `find_layers`.
        heat_of: (clip, class) -> {name: `Heat`} with the names of `layers`. The clip is a batch of one for
            `step.apply_model`: `video` uint8 (1, T, H, W, C) and the network's other inputs. Networks that classify
            frames: the class's logits are summed over the frames.
    """

    layers: dict[str, str]
    heat_of: Callable[[step.Batch, int], dict[str, Heat]]


def make_grad_cam(
    params: dict, model_state: dict, batch: step.Batch, *, model: nn.Module, spec: Spec
) -> GradCam | None:
    """Compiles Grad-CAM for clips with the shapes of `batch`. Returns None for a network without maps.

    Maps are used as the layer returns them (in plain networks, VGG and C3D, before the ReLU) and interpolated to the
    size of the clip in time and space. Each stream has its own scale. If a network sees several clips of a video, each
    clip has its own weights.
    """
    apply = functools.partial(step.apply_model, model=model, spec=spec)
    layers = find_layers(apply, params, model_state, batch)
    if not layers:
        return None
    parts = {layer.path: part for part, layer in layers.items()}

    def score(added, params, model_state, batch, label):
        """Returns the logit, with `added` (if any) added to maps and inputs; and these maps and inputs."""
        kept = {"maps": {}, "inputs": {}}

        def plus(kind, name, x):
            x = x if added is None else x + added[kind][name]
            kept[kind][name] = x
            return x

        def add(next_function, args, kwargs, context):
            if context.method_name != "__call__":
                return next_function(*args, **kwargs)
            if not context.module.path:  # the network itself, after `preprocess`, whose rounding has no gradient
                seen = {name: x for name, x in kwargs.items() if name in STREAMS.values()}
                kwargs = {**kwargs, **{name: plus("inputs", name, x) for name, x in seen.items()}}
            y = next_function(*args, **kwargs)
            if (part := parts.get("/".join(context.module.path))) is not None:
                maps, *others = y if isinstance(y, tuple) else (y,)
                maps = plus("maps", part, maps)
                y = (maps, *others) if isinstance(y, tuple) else maps
            return y

        with nn.intercept_methods(add):
            outputs, _ = apply(params, model_state, batch)
        return outputs[..., label].sum(), kept

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(model))
    def heat_of(params, model_state, batch, label):
        variables = params, model_state, batch, label
        shapes = jax.eval_shape(score, None, *variables)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)  # differentiates with respect to the sums
        (_, kept), gradient = jax.value_and_grad(score, has_aux=True)(nothing, *variables)
        used = {name: (g != 0).any((0, 2, 3, 4)) for name, g in gradient["inputs"].items()}
        found = {}
        for part, (_, shape) in layers.items():
            both = kept["maps"][part], gradient["maps"][part]
            maps, slope = (x if x.ndim == 5 else maps_of_tokens(x, shape) for x in both)
            # A layer that joins both streams belongs to the frames; a frame is used if either stream uses it
            stream = STREAMS.get(part, "video")
            is_used = used[stream]
            for other in used.values() if not part else ():
                is_used = is_used | jnp.pad(other, (0, len(is_used) - len(other)))
            weights = slope.astype(jnp.float32).mean((1, 2, 3), keepdims=True)  # equation 1
            heat = nn.relu((weights * maps).sum(-1))  # equation 2: (N, T', H', W')
            heat = heat.reshape(-1, *heat.shape[2:])  # joins the clips of a video
            heat = nn.relu(jax.image.resize(heat, kept["inputs"][stream].shape[1:4], "linear"))
            heat = heat * is_used[:, None, None]
            found[part] = Heat(heat / jnp.maximum(heat.max(), jnp.finfo(heat.dtype).tiny), is_used)
        return found

    paths = {part: layer.path for part, layer in layers.items()}
    return GradCam(paths, lambda batch, label: jax.tree.map(np.asarray, heat_of(params, model_state, batch, label)))
