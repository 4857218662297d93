"""uint8 -> normalised model inputs, on the device; and where a network is to see optical flow, the flow of its frames.

The spec is a plain dict that is kept in `config.json`; training, evaluation, prediction and export all call this one
function with it, so that they cannot differ.
"""

import jax
import jax.numpy as jnp

from vidjax import flow

Spec = dict  # `mean` and `std` of each channel, and `flow`, a method, where it is computed here


def is_of_flow(spec: Spec) -> bool:
    """Whether a network's video is optical flow: u and v, two channels."""
    return len(spec["mean"]) == len(flow.NORMALISED["mean"])


def sees_flow(spec: Spec) -> bool:
    """Whether a network sees optical flow, in place of frames or beside them."""
    return "flow" in spec or is_of_flow(spec)


def preprocess(inputs: dict[str, jax.Array], spec: Spec, dtype=jnp.float32) -> dict[str, jax.Array]:
    """Normalises the `video` of a batch, and its `flow`: (x - mean) / std.

    Args:
        inputs: of a batch by name; `video` is uint8 (B, T, H, W, C), `flow` uint8 (B, T, H, W, 2); others pass through.
        spec: {"mean": C numbers, "std": C numbers} of the video that the network sees, in units of 0..255. With "flow",
            a name in `flow.METHODS`, the optical flow between its frames, as they are after all augmentation, is
            computed here: (B, T - 1, H, W, 2). A network of two channels sees flow as its `video`, one of three sees
            the two side by side.
        dtype: of the normalised video and flow; the arithmetic is float32 or better.

    Returns:
        The inputs with `video`, and `flow` where the network sees both, in `dtype`.

    Raises:
        ValueError: for a video of another number of channels than the spec is for, or of one frame where there is flow.
    """
    precise, channels = jnp.promote_types(dtype, jnp.float32), len(spec["mean"])
    if spec.get("flow") and "video" in inputs and inputs["video"].shape[-1] == 3:
        frames = inputs["video"].astype(precise)
        inputs = {**inputs, "flow": flow.to_levels(flow.of_video(frames, spec["flow"]))}
    if "flow" in inputs and is_of_flow(spec):
        inputs = {name: x for name, x in inputs.items() if name != "flow"} | {"video": inputs["flow"]}
    if "video" not in inputs:
        return inputs
    if inputs["video"].shape[-1] != channels:
        raise ValueError(
            f"The network's inputs have {channels} channels (3 is RGB, 2 is optical flow); got a video of the shape "
            f"{inputs['video'].shape}."
        )

    def normalised(x: jax.Array, spec: Spec) -> jax.Array:
        mean, std = jnp.asarray(spec["mean"], precise), jnp.asarray(spec["std"], precise)
        return ((x.astype(precise) - mean) / std).astype(dtype)

    video = {"video": normalised(inputs["video"], spec)}
    both = {"flow": normalised(inputs["flow"], flow.NORMALISED)} if "flow" in inputs else {}
    return {**inputs, **video, **both}
