"""The class probabilities of every frame of a video of any length, in bounded memory.

    scores, fps = of_video(run, "film.mp4")     # float32 (T, K)

A network on frames sees overlapping windows of the length of its training clips; the scores of a frame are the weighted
mean over the windows that hold it. One that classifies clips gives all frames of a window the same scores. A network on
stored features sees those of the whole video, which are computed clip by clip. A stateful network sees one frame after
the other.
"""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax import compile_options, step
from vidjax.data import video
from vidjax.inference import clip_logits, restore, stream, views
from vidjax.models.stateful import Stateful
from vidjax.progress_bar import progress_bar

MULTIPLE = 64  # sequences of features are padded to a multiple of it, so that videos share compiled programs


def labels_frames(run: restore.Trained) -> bool:
    """Whether a network labels every frame; otherwise it classifies clips."""
    return run.config is not None and run.config.get("target") == "frame"


def check(run: restore.Trained):
    """Raises a ValueError unless a network can score the frames of videos."""
    if run.preprocess.get("flow") or "flow" in run.clip.get("streams", ()):
        raise ValueError(f"{run.name} sees optical flow; detect needs a network that sees frames.")
    if labels_frames(run):
        return
    clip_logits.check_names_videos(run)
    if "caption_length" in run.inputs:
        raise ValueError(f"{run.name} writes captions: use vidjax predict.")
    if run.clip.get("sampling") == "segments":
        raise ValueError(
            f"{run.name} was trained on frames spread over a whole video: use vidjax predict --windows SECONDS."
        )


def of_video(run: restore.Trained, path: str | Path, encoder: "Encoder | None" = None) -> tuple[np.ndarray, float]:
    """Returns the probability of each class at each frame, float32 (T, K), and the frames per second.

    Args:
        encoder: the network whose features the run sees, see `encoder_of`; None if the run sees frames.

    Raises:
        ValueError: if the file is not a video, or is empty.
    """
    inputs = run.inputs if encoder is None else run.inputs["videos"]
    clip = run.clip if encoder is None else run.inputs["clip"]
    fps = (inputs.get("fps") or video.frame_rate(path)) / clip.get("frame_stride", 1)
    frames = (frame for frame, _ in views.until_damage(stream.read_frames(str(path), clip, inputs)))
    frames = progress_bar(frames, Path(path).name, unit="frame", leave=False)
    if encoder is not None:
        scores = _of_features(run, encoder, frames)
    elif labels_frames(run) and isinstance(run.model, Stateful):
        scores = np.fromiter(of_stream(run, frames), np.dtype((np.float32, len(run.labels))))
    else:
        scores = _of_windows(run, frames)
    if not len(scores):
        raise ValueError(f"{path} has no frames.")
    return scores, fps


# -------------------------------------------------------------------------------------------------- networks on frames


def windows(frames: Iterable, length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields windows that cover all frames: the number of the first frame, and up to `length` frames.

    Windows begin every `hop` frames; the last one ends with the video. Only a video shorter than a window gives a
    shorter one.
    """
    recent, count, covered = deque(maxlen=length), 0, 0
    for frame in frames:
        recent.append(frame)
        count += 1
        if count >= length and (count - length) % hop == 0:
            yield count - length, np.stack(recent)
            covered = count
    if covered < count:
        yield max(0, count - length), np.stack(recent)


class Mean:
    """A weighted mean of scores that overlap in time."""

    def __init__(self, num_classes: int):
        self.total, self.weight = np.zeros((1024, num_classes), np.float32), np.zeros((1024, 1), np.float32)
        self.length = 0

    def add(self, start: int, scores: np.ndarray, weight: np.ndarray):
        """Adds scores (n, K), or (K,) for all, of the frames from `start` on, with weights (n,)."""
        end = start + len(weight)
        while end > len(self.total):  # doubles, so that a long video is not copied with each window
            self.total, self.weight = (np.pad(x, ((0, len(x)), (0, 0))) for x in (self.total, self.weight))
        self.total[start:end] += weight[:, None] * scores
        self.weight[start:end] += weight[:, None]
        self.length = max(self.length, end)

    def result(self) -> np.ndarray:
        """Returns the mean, float32 (T, K), in the memory of the total."""
        self.total[: self.length] /= self.weight[: self.length]
        return self.total[: self.length]


def _of_windows(run: restore.Trained, frames: Iterable[np.ndarray]) -> np.ndarray:
    length, mean, apply = run.clip["num_frames"], Mean(len(run.labels)), _compiled(run)
    of_frames = labels_frames(run)
    for start, window in windows(frames, length, max(1, length // 2)):
        batch = {"video": window[np.arange(length) % len(window)][None]}  # a short video wraps around, as in training
        if of_frames:
            batch["frame_mask"] = (np.arange(length) < len(window)).astype(np.float32)[None]
        scores = run.probabilities(apply(batch))[0]  # (T, K), or (K,) of a clip
        scores = scores[: len(window)] if of_frames else scores
        mean.add(start, scores, np.minimum(np.arange(len(window)), np.arange(len(window))[::-1]) + 1.0)
    return mean.result()


def _compiled(run: restore.Trained) -> Callable[[dict], jax.Array]:
    apply = functools.partial(step.eval_step, model=run.model, spec=run.preprocess)
    apply = jax.jit(apply, compiler_options=compile_options.of_inference(run.model))
    return lambda batch: apply(run.params, run.model_state, batch)


def of_stream(run: restore.Trained, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the probabilities (K,) at each frame, from a causal network that sees one frame after the other.

    A look-ahead makes them that many frames late. The last frame then repeats, until all frames have theirs.

    Raises:
        ValueError: see `stream.causal_model`.
    """
    state, advance = stream.init_stream(run.params, run.model_state, model=run.model, spec=run.preprocess)
    late = stream.look_ahead_of(run.model)
    for number, frame in enumerate(repeat_last(frames, late)):
        state, logits = advance(state, jnp.asarray(frame[None, None]))
        if number >= late:
            yield run.probabilities(logits)[0]


def repeat_last(frames: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
    """Yields the frames, then the last one again `times` times."""
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, times)


# ------------------------------------------------------------------------------------------------ networks on features


class Encoder(NamedTuple):
    """The network whose features a run sees.

    Attributes:
        features_fn: clips, uint8 (B, N, H, W, C), -> features (B, T', D).
        num_frames: N, frames per clip.
        batch_size: B.
    """

    features_fn: Callable
    num_frames: int
    batch_size: int

    def __call__(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Up to B clips (n, H, W, C), n <= N -> features (clips, T', D); a shorter clip wraps around."""
        filled = [clip[np.arange(self.num_frames) % len(clip)] for clip in clips]
        filled += filled[-1:] * (self.batch_size - len(clips))
        return np.asarray(self.features_fn(np.stack(filled)))[: len(clips)]


def encoder_of(inputs: dict, make_features_fn: Callable) -> Encoder | None:
    """Restores the network that made the features of `inputs` (see `DatasetInfo`); None for records of frames.

    Args:
        make_features_fn: `features.make_features_fn`.

    Raises:
        ValueError: if the network is missing, or the features are not those of consecutive clips.
    """
    if "prefix" not in inputs:
        return None
    clip, source = inputs.get("clip", {}), inputs.get("source", "")
    if clip.get("sampling") != "cover" or clip.get("frame_stride", 1) != 1 or len(clip.get("streams", "v")) > 1:
        raise ValueError(
            f"The features of {source or 'this run'} are not those of consecutive clips of frames: store them with "
            "vidjax features without --sampling and --frame_stride."
        )
    workdir, comma, rest = source.rpartition(", step ")
    number = rest.partition(",")[0]  # "40, the best val_top1" of a run with keep_best
    run = restore.from_run(Path(workdir), int(number)) if comma else restore.from_weights(source)
    return Encoder(make_features_fn(run, inputs["layer"]), clip["num_frames"], run.mesh.size)


def _of_features(run: restore.Trained, encoder: Encoder, frames: Iterable[np.ndarray]) -> np.ndarray:
    clips, found = [], windows(frames, encoder.num_frames, encoder.num_frames)
    while group := list(itertools.islice(found, encoder.batch_size)):
        features = encoder([clip for _, clip in group])
        clips += [(start, len(clip), x) for (start, clip), x in zip(group, features, strict=True)]
    if not clips:
        return np.zeros((0, len(run.labels)), np.float32)
    num_steps = len(clips[0][2])  # of a clip
    if num_steps == encoder.num_frames:
        clips = each_frame_once(clips)
    sequence = np.concatenate([features for *_, features in clips])  # (L, D)
    missing = -len(sequence) % MULTIPLE
    mask = np.arange(len(sequence) + missing) < len(sequence)
    batch = {"features": np.pad(sequence, ((0, missing), (0, 0)))[None], "frame_mask": mask[None].astype(np.float32)}
    scores, mean = run.probabilities(_compiled(run)(batch))[0], Mean(len(run.labels))
    first = 0  # step of the clip
    for start, length, features in clips:
        steps = first + np.arange(length) * num_steps // encoder.num_frames  # the step of each frame
        mean.add(start, scores[steps], np.ones(length))
        first += len(features)
    return mean.result()


def each_frame_once(clips: Sequence[tuple[int, int, np.ndarray]]) -> list[tuple[int, int, np.ndarray]]:
    """Cuts clips that have a feature per frame to the frames that no earlier clip holds, like `features.join`.

    Args:
        clips: first frame, number of frames, and features (T', D) of each clip.
    """
    kept, covered = [], 0
    for start, length, features in clips:
        kept.append((covered, start + length - covered, features[covered - start : length]))
        covered = start + length
    return kept
