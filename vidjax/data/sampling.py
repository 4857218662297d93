"""Select the frames of a clip: functions from numbers to frame indices.

The terms are those of DMVR (https://github.com/google-deepmind/dmvr, `processors.py`) and TSN. A clip of `num_frames`
frames at `frame_stride` spans (num_frames - 1) * frame_stride + 1 frames; in a shorter video it wraps around.
The samplers return int arrays of indices in [0, length).
"""

import numpy as np


def span(num_frames: int, frame_stride: int) -> int:
    """Number of frames from the first to the last frame of a clip, inclusive."""
    return (num_frames - 1) * frame_stride + 1


def clip_at(start: int, length: int, num_frames: int, frame_stride: int) -> np.ndarray:
    """The clip that starts at frame `start`: (num_frames,)."""
    return (start + np.arange(num_frames) * frame_stride) % length


def random_clip(rng: np.random.Generator, length: int, num_frames: int, frame_stride: int = 1) -> np.ndarray:
    """A clip at a uniformly random position: (num_frames,)."""
    last_start = max(0, length - span(num_frames, frame_stride))
    return clip_at(rng.integers(last_start + 1), length, num_frames, frame_stride)


def spaced_clips(length: int, num_frames: int, frame_stride: int = 1, num_views: int = 1) -> np.ndarray:
    """`num_views` evenly spaced clips, the first at the start and the last at the end: (num_views, num_frames).

    One view is the centre clip. Ten views are the test protocol of Non-local Networks (Wang et al., 2018, section 4.1).
    """
    last_start = max(0, length - span(num_frames, frame_stride))
    if num_views == 1:
        starts = [last_start // 2]
    else:
        starts = np.round(np.linspace(0, last_start, num_views)).astype(int)
    return np.stack([clip_at(start, length, num_frames, frame_stride) for start in starts])


def covering_clips(length: int, num_frames: int, frame_stride: int = 1) -> np.ndarray:
    """Consecutive clips that cover the video: (V, num_frames). The last clip moves back to end with the video."""
    last_start = max(0, length - span(num_frames, frame_stride))
    starts = np.append(np.arange(0, last_start, num_frames * frame_stride), last_start)
    return np.stack([clip_at(start, length, num_frames, frame_stride) for start in starts])


def segments(length: int, num_segments: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """One frame from each of `num_segments` equal parts of the video: (num_segments,).

    With `rng` a random frame of each part, else its middle frame: Temporal Segment Networks (Wang et al., 2016),
    section 3.1.
    """
    within = np.full(num_segments, 0.5) if rng is None else rng.random(num_segments)
    return np.floor((np.arange(num_segments) + within) * length / num_segments).astype(int)


def chunks(
    length: int, num_frames: int, frame_stride: int = 1, num_chunks: int = 1, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive clips of a video, for a model that passes its state from one clip to the next.

    A longer video gives a stretch of `num_chunks` clips: at a random position with `rng`, else from its middle.

    Returns:
        Indices (num_chunks, num_frames), and a bool mask of the same shape. Beyond the end of the video the mask is
        false and the last frame is repeated.
    """
    last_start = max(0, length - span(num_chunks * num_frames, frame_stride))
    start = last_start // 2 if rng is None else rng.integers(last_start + 1)
    places = start + frame_stride * np.arange(num_chunks * num_frames).reshape(num_chunks, num_frames)
    return np.minimum(places, length - 1), places < length


def train_indices(
    rng: np.random.Generator, length: int, *, num_frames: int, frame_stride: int = 1, sampling: str = "clip"
) -> np.ndarray:
    """Frame indices of one random clip, (num_frames,): "clip" (consecutive frames) or "segments" (one per segment).

    Raises:
        ValueError: for any other `sampling`.
    """
    _check(sampling)
    if sampling == "segments":
        return segments(length, num_frames, rng)
    return random_clip(rng, length, num_frames, frame_stride)


def eval_indices(
    length: int, *, num_frames: int, frame_stride: int = 1, sampling: str = "clip", num_views: int = 1
) -> np.ndarray:
    """Frame indices of the views that evaluation averages, (V, num_frames); V is 1 for "segments".

    Raises:
        ValueError: for any other `sampling` than "clip" and "segments".
    """
    _check(sampling)
    if sampling == "segments":
        return segments(length, num_frames)[None]
    return spaced_clips(length, num_frames, frame_stride, num_views)


def _check(sampling: str):
    if sampling not in ("clip", "segments"):
        raise ValueError(f"Unknown sampling {sampling!r}; choose clip, segments or chunks.")
