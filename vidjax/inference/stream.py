"""A video as it comes: what a causal network says of all the frames so far, in memory and time that do not grow.

    state, step = init_stream(params, model_state, model=model, spec=spec)
    for frame in frames:
        state, outputs = step(state, frame)

After t frames the outputs are those of the network on the clip of these t frames. What networks need of the past is in
the collection `carry`, see `models.carry`. `python -m vidjax.predict --stream VIDEO|camera` is the command.
"""

import functools
import inspect
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
from vidjax.preprocess import Spec, sees_flow

State = dict  # the carry of the network: {} before the first frame


def causal_model(model: nn.Module, spec: Spec) -> nn.Module:
    """The network with `stateful` set, so that it goes on from frame to frame.

    Raises:
        ValueError: for a network that sees the future, or optical flow, or that was not written to be stateful.
    """
    if not hasattr(model, "stateful") or "tokens" in inspect.signature(type(model).__call__).parameters:
        raise ValueError(
            f"This network ({type(model).__name__}) sees a clip at once. What runs on a stream are frame_rnn, "
            "skip_rnn, conv_lstm, clip_rnn, causal tcn, 2-D ResNets, and r3d_18, mc3_18, r2plus1d_18 trained with "
            "model.causal = True."
        )
    if sees_flow(spec):
        raise ValueError("This network sees optical flow, between frames; on a stream run networks that see frames.")
    return model.clone(stateful=True)


def init_stream(params: dict, model_state: dict, *, model: nn.Module, spec: Spec) -> tuple[State, Callable]:
    """Makes the state before the first frame, and the function that goes on from it.

    Returns:
        The state, and step(state, frames) -> (state, outputs). frames: uint8 (B, n, H, W, C), or float (B, n, D) for a
        network over features; n may be 1, but of clip_rnn is a multiple of its clips. outputs: float32 (B, K); of a
        network that classifies frames those of the last. A network with strides in time (R(2+1)D) compiles a program
        for each place of n frames among its strides, one alone where n is 8.

    Raises:
        ValueError: as of `causal_model`; `step` raises one for another number of videos, or frames of another size.
    """
    network = causal_model(model, spec)

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(model))
    def advance(state, params, model_state, batch):
        outputs, _, state = steps.carried_step(params, model_state, state, batch, model=network, spec=spec)
        return state, outputs[:, -1] if getattr(network, "per_frame", False) else outputs

    def step(state: State, frames: jax.Array) -> tuple[State, jax.Array]:
        return advance(state, params, model_state, {"video" if frames.ndim == 5 else "features": frames})

    return {}, step


def frames_a_step(model: nn.Module) -> int:
    """How many frames a network takes at a time with one program: those of its strides, or of one of its clips."""
    if hasattr(model, "clip_frames"):
        return model.clip_frames
    return 8 if any(kind in ("3d", "2+1d") for kind in getattr(model, "kinds", ())[2:]) else 1


# ---------------------------------------------------------------------------------------------------------- the frames


def read_frames(source: str, clip: dict, inputs: dict) -> Iterator[tuple[np.ndarray, float]]:
    """Reads a video, or a camera, at the rate and in the size of the clips that a network was trained on.

    Args:
        source: path of a video file, or "camera", or "camera:1" for the second one.
        clip: `frame_stride`, `size` and `resize`, as of `clips.cut_views`.
        inputs: `fps` and `short_side` that the training videos were read with, 0 for as they are.

    Yields:
        A frame, uint8 (size, size, 3), and its time in seconds.

    Raises:
        ValueError: for a file that is missing or no video, a camera that is not there, or frames that change in size.
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
    """What a network makes of a video, or of a camera, as it comes: once a second of the video, and at its end.

    Yields:
        The time in seconds, and the probability of each class, float32 (K,).

    Raises:
        ValueError: as of `read_frames` and `init_stream`, and where the network wants features.
    """
    if "prefix" in run.inputs or not run.labels:
        raise ValueError(f"{run.name} does not name the classes of videos: it is for features, or has no classes.")
    if run.clip.get("sampling") == "segments":
        raise ValueError(f"{run.name} was trained on frames that are spread over a video, whose end a stream hides.")
    state, step = init_stream(run.params, run.model_state, model=run.model, spec=run.preprocess)
    seconds, shown, outputs, size = 0.0, 0.0, None, frames_a_step(run.model)
    frames = views.until_damage(read_frames(source, run.clip, run.inputs))
    while group := list(itertools.islice(frames, size)):
        if len(group) < size and hasattr(run.model, "clip_frames"):
            break  # no whole clip
        images, times = zip(*group, strict=True)
        state, outputs = step(state, jnp.asarray(np.stack(images)[None]))
        seconds, is_shown = times[-1], times[-1] >= shown + 1
        if is_shown:
            shown = seconds
            yield seconds, run.probabilities(outputs)[0]
    if outputs is not None and not is_shown:
        yield seconds, run.probabilities(outputs)[0]
