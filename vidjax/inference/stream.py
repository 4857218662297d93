"""Causal networks on streams: outputs after each frame, in constant memory and time per frame.

    state, step = init_stream(params, model_state, model=model, spec=spec)
    for frame in frames:
        state, outputs = step(state, frame)

After t frames the outputs equal those of the network on the clip of these t frames. The collection `carry` holds what a
network keeps of the past, see `models.stateful`. The command is `python -m vidjax.predict --stream VIDEO|camera`.
"""

import functools
import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax import compile_options
from vidjax import step as steps
from vidjax.data import clips, video
from vidjax.inference import restore, views
from vidjax.models.stateful import Stateful, plain
from vidjax.preprocess import Spec, sees_flow

State = dict  # the carry of the network: {} before the first frame


def causal_model(model: nn.Module, spec: Spec) -> Stateful:
    """Returns the network that continues from frame to frame. A look-ahead makes its outputs that many frames late.

    Raises:
        ValueError: if the network sees future frames or optical flow, or does not support streams.
    """
    if sees_flow(spec):
        raise ValueError("This network sees optical flow, which streams do not provide: use one that sees frames.")
    network = plain(model)
    return Stateful(network.clone(look_ahead=0) if look_ahead_of(network) else network)


def look_ahead_of(model: nn.Module) -> int:
    """Number of frames after which a stream has the outputs for a frame."""
    return getattr(plain(model), "look_ahead", 0)


def init_stream(params: dict, model_state: dict, *, model: nn.Module, spec: Spec) -> tuple[State, Callable]:
    """Returns the state before the first frame, and the function that advances it.

    Returns:
        The state, and step(state, frames) -> (state, outputs). frames: uint8 (B, n, H, W, C), or float (B, n, D) for a
        network on features; n may be 1, but for clip_rnn a multiple of its clip length. outputs: float32 (B, K),
        those of the last frame if the network classifies frames. A network with temporal strides (R(2+1)D) compiles one
        program per phase of n frames among its strides: a single one if n is 8.

    Raises:
        ValueError: see `causal_model`; `step` raises one if the batch size or the frame size changes.
    """
    network = causal_model(model, spec)

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(model))
    def advance(state, params, model_state, batch):
        outputs, _, state = steps.carried_step(params, model_state, state, batch, model=network, spec=spec)
        return state, outputs[:, -1] if getattr(network.network, "per_frame", False) else outputs

    def step(state: State, frames: jax.Array) -> tuple[State, jax.Array]:
        return advance(state, params, model_state, {"video" if frames.ndim == 5 else "features": frames})

    return {}, step


def frames_a_step(model: nn.Module) -> int:
    """Frames per step with which one program suffices: the product of the temporal strides, or the clip length."""
    model = plain(model)
    if hasattr(model, "clip_frames"):
        return model.clip_frames
    return 8 if any(kind in ("3d", "2+1d") for kind in getattr(model, "kinds", ())[2:]) else 1


# ---------------------------------------------------------------------------------------------------------- the frames


def read_frames(source: str, clip: dict, inputs: dict) -> Iterator[tuple[np.ndarray, float]]:
    """Reads a video file or a camera at the frame rate and size of a network's training clips.

    Args:
        source: path of a video file, "camera", or "camera:1" for the second camera.
        clip: `frame_stride`, `size` and `resize`, see `clips.cut_views`.
        inputs: `fps` and `short_side` of the training videos; 0 keeps those of the source.

    Yields:
        A frame, uint8 (size, size, 3), and its time in seconds.

    Raises:
        ValueError: if the file or camera is missing, the file is not a video, or the frame size changes.
    """
    fps, short_side = inputs.get("fps") or None, inputs.get("short_side", 0)
    if source.split(":")[0] == "camera":
        frames = video.iterate_camera(source.partition(":")[2] or "0", fps=fps, short_side=short_side)
    else:
        frames = video.iterate_frames(source, fps=fps, short_side=short_side)
    shape, cut = None, {name: clip[name] for name in ("size", "resize") if name in clip}
    for index, (frame, seconds) in enumerate(frames):
        shape = shape or frame.shape
        if frame.shape != shape:
            sizes = f"from {_size(shape)} to {_size(frame.shape)}"
            raise ValueError(f"The frames of {source} change {sizes} at {seconds:.1f} s: start a new stream.")
        if index % clip.get("frame_stride", 1) == 0:
            yield clips.cut_views(lambda _, frame=frame: frame, 1, num_frames=1, **cut)[0, 0], seconds


def _size(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def run_on(run: restore.Trained, source: str) -> Iterator[tuple[float, np.ndarray]]:
    """Runs a network on a video file or a camera as it is read: once per second of video, and at the end.

    Yields:
        The time in seconds, and the outputs for the frames so far, float32 (K,); the mean over time of the outputs of a
        network without a classifier that gives a vector per step.

    Raises:
        ValueError: see `read_frames` and `init_stream`; also if the network takes features, or a whole clip of frames
            for each output and the video is shorter.
    """
    if "prefix" in run.inputs:
        raise ValueError(f"{run.name} does not see videos: it takes features.")
    if run.clip.get("sampling") == "segments":
        raise ValueError(f"{run.name} was trained on frames spread over a whole video; a stream has no known end.")
    state, step = init_stream(run.params, run.model_state, model=run.model, spec=run.preprocess)
    seconds, shown, outputs, size = 0.0, 0.0, None, frames_a_step(run.model)
    total, count = 0.0, 0
    frames = views.until_damage(read_frames(source, run.clip, run.inputs))
    while group := list(itertools.islice(frames, size)):
        if len(group) < size and hasattr(plain(run.model), "clip_frames"):
            if outputs is None:
                raise ValueError(f"{source} has {len(group)} frames; {run.name} needs {size} for its first output.")
            break  # an incomplete clip
        images, times = zip(*group, strict=True)
        state, outputs = step(state, jnp.asarray(np.stack(images)[None]))
        if outputs.ndim == 3:  # (1, steps, D)
            total, count = total + outputs.sum(axis=1), count + outputs.shape[1]
            outputs = total / count
        seconds, is_shown = times[-1], times[-1] >= shown + 1
        if is_shown:
            shown = seconds
            yield seconds, np.asarray(outputs)[0]
    if outputs is not None and not is_shown:
        yield seconds, np.asarray(outputs)[0]
