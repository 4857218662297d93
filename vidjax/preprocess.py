"""uint8 -> normalised model inputs, on the device.

The spec is a plain dict that is kept in `config.json`; training, evaluation, prediction and export all call this one
function with it, so that they cannot differ.
"""

import jax
import jax.numpy as jnp

Spec = dict[str, list[float]]


def preprocess(inputs: dict[str, jax.Array], spec: Spec, dtype=jnp.float32) -> dict[str, jax.Array]:
    """Normalises the `video` of a batch: (x - mean) / std.

    Args:
        inputs: model inputs by name; `video` is uint8 (B, T, H, W, C), the others pass through.
        spec: {"mean": C numbers, "std": C numbers} in units of 0..255.
        dtype: of the normalised video; the arithmetic is float32 or better.

    Returns:
        The inputs with `video` in `dtype`.

    Raises:
        ValueError: for a video of another number of channels than the spec is for.
    """
    if "video" not in inputs:
        return inputs
    channels = len(spec["mean"])
    if inputs["video"].shape[-1] != channels:
        raise ValueError(
            f"The network's inputs have {channels} channels (3 is RGB, 2 is optical flow); got a video of the shape "
            f"{inputs['video'].shape}."
        )
    precise = jnp.promote_types(dtype, jnp.float32)
    mean, std = jnp.asarray(spec["mean"], precise), jnp.asarray(spec["std"], precise)
    video = (inputs["video"].astype(precise) - mean) / std
    return {**inputs, "video": video.astype(dtype)}
