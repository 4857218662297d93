import jax
import numpy as np
import pytest

from tests import networks
from vidjax import models, step
from vidjax.data import video
from vidjax.inference import embedding, stream

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
CNN = {"backbone": {"name": "small_cnn", "width": 0.125}}
NETWORKS = {
    "lstm": ("frame_rnn", {**CNN, "hidden": 6, "num_layers": 2}),
    "gru": ("frame_rnn", {**CNN, "hidden": 6, "cell": "gru"}),
    "frames": ("frame_rnn", {**CNN, "hidden": 6, "cell": "rnn", "per_frame": True}),
    "conv_lstm": ("conv_lstm", {"patch_size": 4, "channels": (3, 4)}),
    "tcn": ("tcn", {**CNN, "channels": (5, 6), "kernel_size": 3}),
    "r2plus1d_18": ("r2plus1d_18", {"width": 0.0625, "causal": True}),
    "mc3_18": ("mc3_18", {"width": 0.0625, "causal": True}),
    "resnet18": ("resnet18", {"width": 0.0625}),
}


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), np.uint8)


def made(name, clip):
    """A randomly initialised network, and its outputs for the whole clip of the frames 0..t."""
    model = models.make_model(NETWORKS[name][0], 3, **NETWORKS[name][1])
    params, model_state = jax.jit(lambda: step.init_variables(0, {"video": clip[:, :8]}, model=model, spec=SPEC))()
    statistics = lambda path, x: x - 0.3 if path[-1].key == "mean" else x  # noqa: E731
    model_state = jax.tree_util.tree_map_with_path(statistics, model_state)
    whole = jax.jit(lambda video: step.eval_step(params, model_state, {"video": video}, model=model, spec=SPEC))

    def up_to(t):
        outputs = whole(clip[:, : t + 1])
        return outputs[:, -1] if model_has_frames(model) else outputs

    return model, params, model_state, up_to


def model_has_frames(model):
    return getattr(model, "per_frame", False)


@pytest.mark.parametrize("name", NETWORKS)
def test_frame_by_frame_equals_the_clip_so_far(name, clip):
    model, params, model_state, up_to = made(name, clip)
    state, advance = stream.init_stream(params, model_state, model=model, spec=SPEC)
    seen, sizes = [], []
    for t in range(clip.shape[1]):
        state, outputs = advance(state, clip[:, t : t + 1])
        seen.append(outputs)
        sizes.append(sum(x.size for x in jax.tree.leaves(state)))
    for t in (0, 9, 15):
        np.testing.assert_allclose(seen[t], up_to(t), rtol=1e-5, atol=1e-5)
    assert not np.allclose(seen[0], seen[15], atol=1e-4)
    assert sizes[:8] == sizes[8:]  # the state does not grow


def test_pieces_of_any_length_give_the_same(clip):
    model, params, model_state, up_to = made("tcn", clip)
    state, advance = stream.init_stream(params, model_state, model=model, spec=SPEC)
    for start, end in ((0, 5), (5, 12)):
        state, outputs = advance(state, clip[:, start:end])
    np.testing.assert_allclose(outputs, up_to(11), rtol=1e-5, atol=1e-5)


def test_frames_a_step():
    make = lambda name: models.make_model(NETWORKS[name][0], 3, **NETWORKS[name][1])  # noqa: E731
    assert [stream.frames_a_step(make(name)) for name in ("lstm", "r2plus1d_18", "mc3_18", "resnet18")] == [1, 8, 1, 1]
    assert stream.frames_a_step(models.make_model("clip_rnn", 3, network={"name": "r3d_18"}, clip_frames=4)) == 4


def test_errors(clip):
    for name, arguments, message in (
        ("i3d", {}, "Inception sees a clip at once, so it cannot be stateful or process streams. These can: frame_rnn"),
        ("r2plus1d_18", {}, "A ResNet that sees the future cannot be stateful: set model.causal = True"),
        ("frame_rnn", {"bidirectional": True}, "A bidirectional network cannot be stateful"),
        ("tcn", {"causal": False}, "Only a causal dilated TCN can be stateful"),
        ("ms_tcn", {}, "An MS-TCN that sees the future cannot be stateful"),
    ):
        with pytest.raises(ValueError, match=message):
            stream.init_stream({}, {}, model=models.make_model(name, 3, **arguments), spec=SPEC)
    model, params, model_state, _ = made("tcn", clip)
    state, advance = stream.init_stream(params, model_state, model=model, spec=SPEC)
    state, _ = advance(state, clip[:, :1])
    with pytest.raises(ValueError, match="carries the state of 2 sequences .* this batch has 1"):
        advance(state, clip[:1, :1])
    model, params, model_state, _ = made("conv_lstm", clip)
    state, advance = stream.init_stream(params, model_state, model=model, spec=SPEC)
    state, _ = advance(state, clip[:, :1])
    with pytest.raises(ValueError, match=r"The state that the model carries is \(2, 8, 8, 3\), but these frames need"):
        advance(state, clip[:, :1, :16])


# ---------------------------------------------------------------------------------------------------------- the frames


def test_frames_are_read_as_those_of_training(tmp_path):
    frames = np.broadcast_to(8 * np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 40, 48, 3))
    video.write_video(tmp_path / "numbered.mp4", frames, 10.0)
    clip = {"num_frames": 4, "frame_stride": 3, "size": 32, "resize": 32}
    read = list(stream.read_frames(str(tmp_path / "numbered.mp4"), clip, {"fps": 5.0, "short_side": 36}))
    assert [frame.shape for frame, _ in read] == [(32, 32, 3)] * 4
    assert [round(float(frame[0, 0, 0]) / 8) for frame, _ in read] == [0, 6, 12, 18]
    np.testing.assert_allclose([seconds for _, seconds in read], [0, 0.6, 1.2, 1.8])


def test_frames_that_change_in_size(monkeypatch):
    frames = [(np.zeros((size, 48, 3), np.uint8), 0.1 * i) for i, size in enumerate((48, 48, 40))]
    monkeypatch.setattr(video, "iterate_frames", lambda *args, **kwargs: iter(frames))
    with pytest.raises(ValueError, match=r"The frames of film.mp4 change from 48x48 to 48x40 at 0.2 s: start a new"):
        list(stream.read_frames("film.mp4", {"size": 32}, {}))


@pytest.mark.parametrize("name", ["resnet18", "lstm"])
def test_the_embedding_of_a_stream_is_that_of_the_clip_so_far(name, tmp_path):
    """20 frames at 10 per second: lines at 1.0 and 1.9 s, the frames 0..10 and 0..19."""
    frames = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    video.write_video(tmp_path / "noise.mp4", frames, 10.0)
    run = networks.network_of(NETWORKS[name][0], 8, **NETWORKS[name][1])
    embedder = embedding.embedder_of(run)
    embed_fn = embedding.make_embed_fn(embedder)
    found = dict(stream.run_on(embedder, str(tmp_path / "noise.mp4")))
    assert list(found) == pytest.approx([1.0, 1.9])
    for (_, outputs), length in zip(found.items(), (11, 20), strict=True):
        seen = [frame for frame, _ in stream.read_frames(str(tmp_path / "noise.mp4"), run.clip, {})][:length]
        np.testing.assert_allclose(outputs, embed_fn({"video": np.stack(seen)[None]}), rtol=1e-4, atol=1e-4)


def test_a_video_shorter_than_the_clips_of_the_network(tmp_path):
    video.write_video(tmp_path / "short.mp4", np.zeros((3, 32, 32, 3), np.uint8), 10.0)
    run = networks.network_of("clip_rnn", 8, network={"name": "r3d_18", "width": 0.0625}, clip_frames=4)
    with pytest.raises(ValueError, match=r"short.mp4 has 3 frames; drawn needs 4 for its first output"):
        list(stream.run_on(run, str(tmp_path / "short.mp4")))
