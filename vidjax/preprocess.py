"""Preprocessing on the device: uint8 video -> normalised model inputs, with optical flow computed if the model sees it.

The spec is a plain dict. Training, evaluation, prediction and export all call `preprocess` with the spec of the run, so
that they cannot differ.
"""

import jax
import jax.numpy as jnp

from vidjax import flow

Spec = dict  # see `preprocess`


def is_of_flow(spec: Spec) -> bool:
    """Whether the video that a network sees is optical flow, of the two channels u and v."""
    return len(spec["mean"]) == len(flow.NORMALISED["mean"])


def sees_flow(spec: Spec) -> bool:
    """Whether a network sees optical flow, alone or beside frames."""
    return "flow" in spec or is_of_flow(spec)


def described(spec: Spec) -> Spec:
    """The spec as JSON can hold it: with the name of a method of optical flow that is a function."""
    return {**spec, "flow": str(spec["flow"])} if "flow" in spec else spec


def preprocess(inputs: dict[str, jax.Array], spec: Spec, dtype=jnp.float32) -> dict[str, jax.Array]:
    """Normalises the `video` of a batch, and its `flow`: (x - mean) / std.

    Args:
        inputs: model inputs by name; `video` is uint8 (B, T, H, W, C), `flow` uint8 (B, T, H, W, 2); others are
            returned unchanged.
        spec: "mean" and "std", C numbers each, of the video that the network sees, in units of 0..255. If "flow" is a
            method, see `flow.of_video`, the optical flow between the augmented frames is computed here:
            (B, T - 1, H, W, 2).
            A network with two channels sees flow as its `video`; one with three channels sees `video` and `flow`.
        dtype: dtype of the normalised video and flow; the arithmetic is float32 or better.

    Returns:
        The inputs with `video`, and `flow` if the network sees both, in `dtype`.

    Raises:
        ValueError: if the video has another number of channels than the spec, or one frame although the spec needs
            flow.
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
