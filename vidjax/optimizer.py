"""The learning rate schedule, the optax optimizer, learning rates by depth, and frozen parameters."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import jax
import optax
from flax import traverse_util


def make_schedule(
    name: str = "cosine",
    *,
    learning_rate: float,
    total_steps: int,
    warmup_steps: int = 0,
    boundaries: Sequence[float] = (),
    factor: float = 0.1,
) -> optax.Schedule:
    """Learning rate by step: a linear warm-up from 0, then a cosine, a linear, a step or a constant schedule.

    Args:
        name: "cosine" (to 0 at `total_steps`; Loshchilov and Hutter, 2017), "linear" (likewise), "steps" or "constant".
        learning_rate: rate at the end of the warm-up.
        warmup_steps: length of the warm-up, in steps.
        boundaries: for "steps": when to multiply the rate by `factor`, as fractions of `total_steps`.

    Raises:
        ValueError: for an unknown name, a warm-up that is not shorter than the run, or a boundary outside of it.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"schedule.warmup_steps = {warmup_steps} must be below the {total_steps} steps of the run: "
            "lower it, or raise num_epochs."
        )
    if name == "cosine":
        course = optax.cosine_decay_schedule(learning_rate, total_steps - warmup_steps)
    elif name == "linear":
        course = optax.linear_schedule(learning_rate, 0.0, total_steps - warmup_steps)
    elif name == "steps":
        if wrong := [share for share in boundaries if not 0 < share < 1]:
            raise ValueError(f"schedule.boundaries has {wrong}: give fractions of the run between 0 and 1, not steps.")
        counts = Counter(round(share * total_steps) - warmup_steps for share in boundaries)  # of one step in short runs
        places = {place: factor**count for place, count in counts.items()}
        course = optax.piecewise_constant_schedule(learning_rate, places)
    elif name == "constant":
        course = optax.constant_schedule(learning_rate)
    else:
        raise ValueError(f"Unknown schedule {name!r}; choose cosine, linear, steps or constant.")
    if not warmup_steps:
        return course
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup_steps), course], [warmup_steps])


def make_optimizer(
    name: str,
    schedule: optax.Schedule,
    *,
    momentum: float = 0.9,
    beta2: float = 0.999,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    layer_decay: float = 0.0,
) -> optax.GradientTransformation:
    """SGD with momentum, or AdamW.

    Args:
        name: "sgd" (weight decay is added to the gradient, as in the papers) or "adamw" (decoupled weight decay,
            Loshchilov and Hutter, 2019).
        momentum, nesterov: of SGD.
        beta2: decay of AdamW's mean of squared gradients.
        weight_decay: decay of kernels; biases, scales and other parameters with one axis are never decayed.
        clip_norm: largest global norm of the gradient; 0 for no clipping.
        layer_decay: factor of the learning rate from each block to the one below, see `layer_scales`; 0 or 1 for none.

    Raises:
        ValueError: for an unknown name, or a layer_decay outside of [0, 1].
    """
    if not 0 <= layer_decay <= 1:
        raise ValueError(f"optimizer.layer_decay = {layer_decay} must be between 0 and 1.")
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
    decay = optax.add_decayed_weights(weight_decay, mask=_is_kernel) if weight_decay else optax.identity()
    if name == "sgd":
        tx = optax.chain(clip, decay, optax.sgd(schedule, momentum, nesterov=nesterov))
    elif name == "adamw":
        tx = optax.chain(clip, optax.scale_by_adam(b2=beta2), decay, optax.scale_by_learning_rate(schedule))
    else:
        raise ValueError(f"Unknown optimizer {name!r}; choose sgd or adamw.")
    return optax.chain(tx, scale_by_layer(layer_decay)) if 0 < layer_decay < 1 else tx


def _is_kernel(params):
    return jax.tree.map(lambda param: param.ndim > 1, params)


def scale_by_layer(decay: float) -> optax.GradientTransformation:
    """Multiplies the updates of parameters, a flat dict by path, by their `layer_scales`."""

    def init(params: dict):
        layer_scales(params, decay)  # raises its error before training
        return optax.EmptyState()

    def update(updates: dict, state, params=None):
        scales = layer_scales(updates, decay)
        return {path: scales[path] * x for path, x in updates.items()}, state

    return optax.GradientTransformation(init, update)


def layer_scales(paths: Iterable[str], decay: float) -> dict[str, float]:
    """The factor of the learning rate by path, for layer-wise decay (Bao et al., "BEiT", 2022; VideoMAE).

    Block i of L has decay^(L - i), counted from 0; patches, positions and tokens below the blocks have decay^(L + 1);
    what is above them, such as the classifier, has 1. Blocks are known by their names: `block3/`, `stage1_block0/`,
    `time_block2/`, in this order; `merge1/` counts with the last block of its stage.

    Raises:
        ValueError: without a numbered block; lists the top-level names.
    """
    places = {path: _place(path) for path in paths}
    blocks = {place for place in places.values() if BELOW < place < ABOVE and place[2] < math.inf}
    if not blocks:
        names = sorted({path.split("/")[0] for path in places})
        raise ValueError(
            f"optimizer.layer_decay needs a network with numbered blocks, such as block0; this one has {names}. Set it "
            "to 0, or choose a transformer."
        )
    layers = {path: sum(block <= place for block in blocks) for path, place in places.items()}
    return {path: 1.0 if places[path] == ABOVE else decay ** (len(blocks) + 1 - layers[path]) for path in places}


BELOW, ABOVE = (-1,), (2,)


def _place(path: str) -> tuple:
    """Sorts by depth: BELOW, (0 or 1 for time, stage, block), ABOVE."""
    if found := re.search(r"(?:^|/)(time_)?(?:stage(\d+)_)?block(\d+)/", path):
        time, stage, block = found.groups()
        return int(bool(time)), int(stage or 0), int(block)
    if found := re.search(r"(?:^|/)merge(\d+)/", path):
        return 0, int(found[1]), math.inf
    return BELOW if re.search(r"(?:^|/)(patch|\w*positions|\w*token)", path) else ABOVE


def split_frozen(params: dict, freeze: Sequence[str]) -> tuple[dict, dict]:
    """Splits nested parameters into two flat dicts by path: trainable and frozen ones.

    Args:
        params: nested dict.
        freeze: regular expressions; a parameter is frozen if one of them matches the start of its path, as `Conv3d_.*`
            matches `Conv3d_1a_7x7/conv/kernel`.

    Raises:
        ValueError: if a pattern matches no parameter (lists the top-level names), or none is left to train.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    for pattern in freeze:
        if not any(re.match(pattern, path) for path in flat):
            raise ValueError(f"freeze pattern {pattern!r} matches no parameter; the model has {sorted(params)}.")
    frozen = {path: value for path, value in flat.items() if is_frozen(path, freeze)}
    trainable = {path: value for path, value in flat.items() if path not in frozen}
    if not trainable:
        raise ValueError(f"freeze = {list(freeze)} leaves no parameter to train; remove a pattern.")
    return trainable, frozen


def is_frozen(path: str, freeze: Sequence[str]) -> bool:
    """Whether the path of a parameter, or of a layer with a trailing slash, matches one of the patterns."""
    return any(re.match(pattern, path) for pattern in freeze)


def join_frozen(trainable: dict, frozen: dict) -> dict:
    """The inverse of `split_frozen`."""
    return traverse_util.unflatten_dict({**trainable, **frozen}, sep="/")
