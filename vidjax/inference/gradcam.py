"""Where in space and time a convolutional network looks: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (ICCV 2017,
https://arxiv.org/abs/1610.02391), equations 1 and 2, with positions in time as well as in space.

Maps are interpolated over time, so that they reach frames which the network does not use: late fusion sees the first
and the last one of a clip, the spatial one of two streams the middle ones of stacks of flow. These get no heat: frames
are told apart by the gradient of the class's logit with respect to them, which is zero everywhere in such a frame.
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

MIN_SIDE = 4  # positions: maps that are lower or narrower say too little of where
STREAMS = {"spatial": "video", "temporal": "flow"}  # submodules of `models.two_stream`, and what each of them sees


def find_layers(apply: Callable, *arguments) -> dict[str, str]:
    """The last layer whose maps have at least `MIN_SIDE` positions in height and width, or the last with any maps.

    Args:
        apply: runs the network on `arguments`, which may be shapes.

    Returns:
        {"": its path, as "backbone/layer2_1"}. Where it is one of the `STREAMS`, the last such layers of both, by the
        names of the streams; {} where the network has no maps.
    """
    found = {}

    def note(next_function, args, kwargs, context):
        y = next_function(*args, **kwargs)
        maps = y[0] if isinstance(y, tuple) else y  # recurrent layers return their carry too
        if context.method_name == "__call__" and getattr(maps, "ndim", 0) == 5 and min(maps.shape[2:4]) > 1:
            has_room, path = min(maps.shape[2:4]) >= MIN_SIDE, context.module.path
            for part in {"", stream_of(path)}:
                found[part, has_room] = "/".join(path)  # a block ends after the layers in it
        return y

    with nn.intercept_methods(note):
        jax.eval_shape(lambda *arguments: apply(*arguments), *arguments)  # traced anew each time
    layers = {part: found.get((part, True)) or found.get((part, False)) for part in ("", *STREAMS)}
    layers = {part: path for part, path in layers.items() if path}
    if layers and stream_of(layers[""].split("/")):
        del layers[""]  # which stream comes last means nothing
        return layers
    return {part: path for part, path in layers.items() if not part}


def stream_of(path: Sequence[str]) -> str:
    """The name in `STREAMS` of the stream that a module is in, "" of others."""
    return path[0] if path and path[0] in STREAMS else ""


class Heat(NamedTuple):
    """Where a network, or one of its streams, looks.

    Attributes:
        level: how much each place speaks for the class, float32 (T, H, W), from 0 to 1, and 0 everywhere where nothing
            does. T is that of the network's input: a frame fewer than the clip has where flow is computed of it.
        is_used: bool (T,): frames (or fields of flow, each under the frame that it starts from) which change the
            class's logit; the others have no heat.
    """

    level: np.ndarray
    is_used: np.ndarray


class GradCam(NamedTuple):
    """Where a network looks, by the maps of one layer, or of one of each stream.

    Attributes:
        layers: as of `find_layers`.
        heat_of: (clip, class) -> a `Heat` for each of the layers, by the same names. The clip is a batch of one, as of
            `step.apply_model`: `video` uint8 (1, T, H, W, C) and what else the network sees. Of networks with one label
            a frame the class's logits are summed over the frames.
    """

    layers: dict[str, str]
    heat_of: Callable[[step.Batch, int], dict[str, Heat]]


def make_grad_cam(
    params: dict, model_state: dict, batch: step.Batch, *, model: nn.Module, spec: Spec
) -> GradCam | None:
    """Finds the layers and compiles once, for clips of the shapes of `batch`; None of a network without maps.

    Maps are taken as the layer returns them (of plain networks, VGG and C3D, before rectification), and interpolated to
    the size of the clip in time as in space. Each stream has a scale of its own. Of a network on several clips of a
    video each clip has weights of its own.
    """
    apply = functools.partial(step.apply_model, model=model, spec=spec)
    layers = find_layers(apply, params, model_state, batch)
    if not layers:
        return None
    parts = {path: part for part, path in layers.items()}

    def score(added, params, model_state, batch, label):
        """The logit with `added` on the layers' maps and the network's inputs; both as they are without it."""
        kept = {"maps": {}, "inputs": {}}

        def plus(kind, name, x):
            x = x if added is None else x + added[kind][name]
            kept[kind][name] = x
            return x

        def add(next_function, args, kwargs, context):
            if context.method_name != "__call__":
                return next_function(*args, **kwargs)
            if not context.module.path:  # the network itself: after `preprocess`, which rounds and so has no gradient
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
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)  # for a gradient with respect to the sums
        (_, kept), gradient = jax.value_and_grad(score, has_aux=True)(nothing, *variables)
        used = {name: (g != 0).any((0, 2, 3, 4)) for name, g in gradient["inputs"].items()}
        found = {}
        for part, maps in kept["maps"].items():
            # What is joined of both streams is of the frames, and used where one of the two is
            stream = STREAMS.get(part, "video")
            is_used = used[stream]
            for other in used.values() if not part else ():
                is_used = is_used | jnp.pad(other, (0, len(is_used) - len(other)))
            weights = gradient["maps"][part].astype(jnp.float32).mean((1, 2, 3), keepdims=True)  # equation 1
            heat = nn.relu((weights * maps).sum(-1))  # equation 2: (N, T', H', W')
            heat = heat.reshape(-1, *heat.shape[2:])  # clips of a video follow each other
            heat = nn.relu(jax.image.resize(heat, kept["inputs"][stream].shape[1:4], "linear"))
            heat = heat * is_used[:, None, None]
            found[part] = Heat(heat / jnp.maximum(heat.max(), jnp.finfo(heat.dtype).tiny), is_used)
        return found

    return GradCam(layers, lambda batch, label: jax.tree.map(np.asarray, heat_of(params, model_state, batch, label)))
