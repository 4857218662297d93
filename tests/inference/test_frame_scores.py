import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from vidjax import features, models, sharding, step
from vidjax.data import video
from vidjax.inference import frame_scores, restore

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
LABELS = ["background", "a", "b"]
CNN = {"backbone": {"name": "small_cnn", "width": 0.125}}
CLIP = {"num_frames": 8, "frame_stride": 1, "size": 32, "resize": 32, "sampling": "clip"}
CONFIG = ConfigDict({"target": "frame"})


def run_of(name, inputs=None, clip=None, **arguments):
    """A randomly initialised network that labels every frame."""
    model = models.make_model(name, 3, **arguments)
    batch = {"video": np.zeros((1, 8, 32, 32, 3), np.uint8)}
    if inputs:
        batch = {"features": np.zeros((1, 8, inputs["width"]), np.float32)}
    params, state = jax.jit(lambda: step.init_variables(0, batch, model=model, spec=SPEC))()
    inputs = inputs or {"fps": 0, "short_side": 0}
    return restore.Trained(
        "w, step 1", model, params, state, sharding.make_mesh(), LABELS, SPEC, clip or CLIP, inputs, config=CONFIG
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (19, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    video.write_video(path, frames, 10.0)
    return path


def test_windows_cover_all_frames():
    def numbers(count):
        return [(start, window.tolist()) for start, window in frame_scores.windows(range(count), 4, 2)]

    assert numbers(0) == [] and numbers(3) == [(0, [0, 1, 2])] and numbers(4) == [(0, [0, 1, 2, 3])]
    assert numbers(7) == [(0, [0, 1, 2, 3]), (2, [2, 3, 4, 5]), (3, [3, 4, 5, 6])]
    assert [start for start, _ in frame_scores.windows(range(10), 4, 4)] == [0, 4, 6]


def test_scores_that_overlap_are_averaged():
    mean = frame_scores.Mean(1)
    mean.add(0, np.array([[1.0], [1.0]]), np.array([1.0, 1.0]))
    mean.add(1, np.array([[0.0], [3.0]]), np.array([3.0, 1.0]))
    assert mean.result()[:, 0].tolist() == [1.0, 0.25, 3.0]


def test_the_mean_grows_with_the_video():
    mean = frame_scores.Mean(2)
    for start in range(0, 5000, 10):
        mean.add(start, np.array([start, 0.5]), np.full(20, 2.0))
    found = mean.result()
    assert found.shape == (5010, 2) and (found[:, 1] == 0.5).all()
    assert found[::10, 0].tolist() == [0, *(10 * i - 5 for i in range(1, 500)), 4990]


@pytest.mark.parametrize("length", [8, 24])
def test_a_network_on_frames(length, film):
    """A classifier of single frames gives the same in any window, also in one that is longer than the video."""
    run = run_of("frame_pool", clip={**CLIP, "num_frames": length}, per_frame=True, **CNN)
    scores, fps = frame_scores.of_video(run, film)
    batch = {"video": video.read_video(film).frames[None]}
    logits = step.eval_step(run.params, run.model_state, batch, model=run.model, spec=SPEC)
    np.testing.assert_allclose(scores, run.probabilities(logits)[0], atol=1e-5)
    assert scores.shape == (19, 3) and fps == 10


def test_frames_that_are_passed_over_change_the_rate(film):
    run = run_of("frame_pool", clip={**CLIP, "frame_stride": 2}, per_frame=True, **CNN)
    scores, fps = frame_scores.of_video(run, film)
    assert len(scores) == 10 and fps == 5


def test_a_stateful_network_sees_one_frame_after_the_other(film):
    run = run_of("frame_rnn", per_frame=True, hidden=4, stateful=True, **CNN)
    scores, _ = frame_scores.of_video(run, film)
    batch = {"video": video.read_video(film).frames[None]}
    logits = step.eval_step(run.params, run.model_state, batch, model=run.model.network, spec=SPEC)
    np.testing.assert_allclose(scores, run.probabilities(logits)[0], atol=1e-5)


def test_a_stream_with_a_look_ahead_gives_what_the_whole_video_gives(film):
    run = run_of("ms_tcn", num_stages=2, num_layers=2, channels=4, causal=True, look_ahead=3, **CNN)
    frames, pulled = video.read_video(film).frames, []
    scores = list(frame_scores.of_stream(run, (pulled.append(i) or x for i, x in enumerate(frames))))
    logits = step.eval_step(run.params, run.model_state, {"video": frames[None]}, model=run.model, spec=SPEC)
    np.testing.assert_allclose(scores, run.probabilities(logits)[0], atol=1e-5)
    next(frame_scores.of_stream(run, (pulled.append(i) or x for i, x in enumerate(frames))))
    assert pulled == [*range(19), *range(4)]  # the first scores after 4 frames
    assert not list(frame_scores.of_stream(run, iter([])))


def test_a_network_on_features_of_clips(film, monkeypatch):
    """Clips of 8 frames with 2 features each; the last clip overlaps the one before it."""
    encoding = run_of("r3d_18", width=1 / 16)
    monkeypatch.setattr(restore, "from_weights", lambda name: encoding)
    inputs = {
        "prefix": "RGB",
        "width": 8,
        "layer": "layer2",
        "source": "some_weights",
        "clip": {**CLIP, "sampling": "cover"},
    }
    run = run_of("tcn", inputs={**inputs, "videos": {"fps": 0, "short_side": 0}}, per_frame=True, channels=(4,))
    encoder = frame_scores.encoder_of(run.inputs, features.make_features_fn)
    scores, fps = frame_scores.of_video(run, film, encoder)
    assert scores.shape == (19, 3) and fps == 10
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    steps = [scores[i] for i in (0, 2, 4, 6)]  # layer2 has 4 steps per clip of 8 frames
    np.testing.assert_array_equal(scores[1], steps[0])
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(steps, steps[1:], strict=False))
    frames = video.read_video(film).frames
    sequence = np.concatenate([encoder([frames[start : start + 8]])[0] for start in (0, 8, 11)])
    logits = step.eval_step(run.params, run.model_state, {"features": sequence[None]}, model=run.model, spec=SPEC)
    np.testing.assert_allclose(steps, run.probabilities(logits)[0, :4], atol=1e-5)


@pytest.mark.parametrize("length", [8, 24])
def test_a_classifier_of_clips_scores_the_frames_of_its_windows(length, film, monkeypatch):
    """Windows of 8 frames begin at 0, 4, 8 and 11; a frame's weight falls towards the ends of a window."""
    inputs, clip = {"fps": 0, "short_side": 0}, {**CLIP, "num_frames": length}
    run = restore.Trained("name", None, {}, {}, None, LABELS, SPEC, clip, inputs)
    monkeypatch.setattr(frame_scores, "_compiled", lambda run: lambda batch: batch["video"].mean((1, 2, 3)) / 10)
    scores, fps = frame_scores.of_video(run, film)
    frames = video.read_video(film).frames

    def classify(indices):
        return run.probabilities(frames[indices].mean((0, 1, 2))[None] / 10)[0]

    assert scores.shape == (19, 3) and fps == 10
    if length == 8:
        first, second, last = (classify(range(start, start + 8)) for start in (0, 4, 11))
        expected = {0: first, 3: first, 5: (3 * first + 2 * second) / 5, 18: last}
    else:  # a short video wraps around, as in training
        expected = dict.fromkeys((0, 18), classify([*range(19), *range(5)]))
    for frame, value in expected.items():
        np.testing.assert_allclose(scores[frame], value, atol=1e-5)


@pytest.mark.parametrize("num_frames", [8, 24])
def test_a_layer_with_a_step_per_frame_gives_each_frame_once(num_frames, film, monkeypatch):
    """As in the stored features: clips begin at 0, 8 and 11, but frames 11 to 15 are not repeated."""
    clip = {**CLIP, "num_frames": num_frames}
    encoder = frame_scores.Encoder(lambda x: x.mean((2, 3, 4))[..., None], num_frames, 1)
    inputs = {"prefix": "RGB", "clip": clip, "videos": {"fps": 0, "short_side": 0}}
    run, seen = restore.Trained("name", None, {}, {}, None, LABELS, SPEC, clip, inputs), []
    monkeypatch.setattr(
        frame_scores, "_compiled", lambda run: lambda batch: seen.append(batch) or np.repeat(batch["features"], 3, 2)
    )
    scores, _ = frame_scores.of_video(run, film, encoder)
    frames = video.read_video(film).frames
    clips = features.clip_indices(19, {**clip, "sampling": "cover"})
    stored = features.join([encoder([frames[indices]])[0] for indices in clips], list(clips))
    assert len(stored) == len(scores) == seen[0]["frame_mask"].sum() == 19
    np.testing.assert_allclose(seen[0]["features"][0, :19], stored)


def test_a_short_video_wraps_around_like_the_stored_features():
    encoder = frame_scores.Encoder(lambda clips: clips, 5, 2)
    assert encoder([np.array([1, 2, 3])]).tolist() == [[1, 2, 3, 1, 2]]


@pytest.mark.parametrize("note", ["", ", the best val_top1"])
def test_the_network_of_features_is_the_checkpoint_that_made_them(note, monkeypatch):
    inputs = {
        "prefix": "RGB",
        "layer": "layer2",
        "source": f"runs/a, step 40{note}",
        "clip": {**CLIP, "sampling": "cover"},
    }
    opened = []
    run = restore.Trained("name", None, {}, {}, sharding.make_mesh(), LABELS, SPEC, CLIP, {})
    monkeypatch.setattr(restore, "from_run", lambda *place: opened.append(place) or run)
    frame_scores.encoder_of(inputs, lambda *_: None)
    assert opened == [(Path("runs/a"), 40)]


def test_what_is_refused():
    run = run_of("frame_pool", per_frame=True, **CNN)
    of_clips = dataclasses.replace(run, config=None)
    for changes, message in (
        ({"clip": {**CLIP, "sampling": "segments"}}, "trained on frames spread over a whole video: use vidjax predict"),
        ({"inputs": {"caption_length": 9}}, "writes captions: use vidjax predict"),
        ({"inputs": {"prefix": "RGB", "layer": "x", "source": "y"}}, "trained on features .* not on videos"),
        ({"labels": []}, "has no classes"),
        ({"clip": {**CLIP, "streams": ("flow",)}}, "sees optical flow; detect needs a network that sees frames"),
    ):
        with pytest.raises(ValueError, match=message):
            frame_scores.check(dataclasses.replace(of_clips, **changes))
    with pytest.raises(ValueError, match="sees optical flow; detect needs a network that sees frames"):
        frame_scores.check(dataclasses.replace(run, preprocess={**SPEC, "flow": "tvl1"}))
    inputs = {"prefix": "RGB", "source": "x", "clip": {**CLIP, "sampling": "segments"}}
    with pytest.raises(ValueError, match="The features of x are not those of consecutive clips"):
        frame_scores.encoder_of(inputs, features.make_features_fn)
    assert frame_scores.encoder_of({"fps": 5}, features.make_features_fn) is None
