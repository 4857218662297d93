"""Attention rollout: how much each token of a video contributes to the output of a transformer.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), arXiv:2005.00928, equation 1,
with the mean over heads: each block passes on half of its inputs and half of what its attention collects. Unlike
Grad-CAM it does not depend on the class.

It needs attention among all tokens of a video, or of each frame: ViT, VideoMAE, ViViT (model 1), and TimeSformer with
joint attention or over space only.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax import compile_options, step
from vidjax.inference.gradcam import Heat, maps_of_tokens
from vidjax.models.attention import Attention, Patches
from vidjax.preprocess import Spec


def make_rollout(
    params: dict, model_state: dict, batch: step.Batch, *, model: nn.Module, spec: Spec
) -> Callable[[step.Batch], Heat] | None:
    """Compiles the rollout for clips with the shapes of `batch`, one clip each: `video` uint8 (1, T, H, W, C).

    Returns:
        The function from a clip to its `Heat`, scaled to 0..1; None for a network without such attention.
    """
    if "video" not in batch:
        return None
    how = functools.partial(_attention_of, model=model, spec=spec)
    shapes = []
    shares = jax.eval_shape(lambda *variables: how(*variables, shapes), params, model_state, batch)
    if not shapes or len({share.shape for share in shares}) != 1:
        return None
    (rows, length, _), shape = shares[0].shape, shapes[0]
    if maps_of_tokens(np.zeros((rows, length, 1)), shape) is None:
        return None
    has_class_token = maps_of_tokens(np.zeros((rows, length - 1, 1)), shape) is not None

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(model))
    def heat_of(params, model_state, batch):
        passed = identity = jnp.eye(length)
        for share in how(params, model_state, batch, []):
            passed = (share + identity) / 2 @ passed  # (R, N, N)
        contributes = passed[:, 0] if has_class_token else passed.mean(1)  # (R, N)
        maps = maps_of_tokens(contributes[..., None], shape)[0, ..., 0]  # (T', H', W')
        level = jax.image.resize(maps, batch["video"].shape[1:4], "linear")
        return (level - level.min()) / jnp.maximum(level.max() - level.min(), jnp.finfo(level.dtype).tiny)

    def rollout(batch: step.Batch) -> Heat:
        level = np.asarray(heat_of(params, model_state, batch))
        return Heat(level, np.ones(len(level), bool))

    return rollout


def _attention_of(params, model_state, batch, shapes: list, *, model, spec) -> list[jax.Array]:
    """Returns the attention of each block, float32 (R, N, N), the mean over heads.

    Args:
        shapes: gets the shape of the patches, (B, T', H', W').
    """
    dense, shares = {}, []

    def note(next_function, args, kwargs, context):
        y = next_function(*args, **kwargs)
        module, path = context.module, context.module.path
        if context.method_name == "__call__" and isinstance(module, Patches):
            shapes.append(y.shape[:4])
        if isinstance(module, nn.Dense) and path[-1] in ("query", "key"):
            dense[path] = y
        if isinstance(module, Attention) and module.attend is Attention.attend:
            query, key = (  # of all tokens of the rows, one after the other: (R N, D) -> (R, N, H, D / H)
                dense.pop((*path, name)).reshape(*args[0].shape[:2], module.num_heads, -1).astype(jnp.float32)
                for name in ("query", "key")
            )
            energy = jnp.einsum("bnhd,bmhd->bhnm", query / query.shape[-1] ** 0.5, key)
            if (mask := kwargs.get("mask")) is not None:
                energy = jnp.where(mask, energy, jnp.finfo(energy.dtype).min)
            shares.append(nn.softmax(energy).mean(1))
        return y

    with nn.intercept_methods(note):
        step.apply_model(params, model_state, batch, model=model, spec=spec)
    return shares
