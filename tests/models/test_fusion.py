import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import draw_tree, uniform
from vidjax.models.fusion import MIN_FRAMES, Fusion, first_and_last, same_in_space

VIDEO = uniform("video", (2, 10, 24, 24, 3))
MASK = np.array([[1] * 10, [0, 1, 1, 0, 1, 1, 1, 1, 0, 0]])


def make(fusion, **arguments):
    return Fusion(**{"num_classes": 5, "fusion": fusion, "width": 1 / 32, **arguments})


def shapes_of(model, *shape):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape or VIDEO.shape))


def drawn(model):
    return {collection: draw_tree(tree) for collection, tree in shapes_of(model).items()}


def run(fusion, video=VIDEO, frame_mask=None, **arguments):
    model = make(fusion, **arguments)
    return jax.jit(model.apply)(drawn(model), video, frame_mask=frame_mask)


def count(fusion, **arguments):
    shapes = shapes_of(make(fusion, num_classes=487, width=1, **arguments), 1, 10, 170, 170, 3)
    return sum(x.size for x in jax.tree.leaves(shapes["params"]))


def conv_parameters(time=(1, 1, 1)):
    """Of C(96,11,3), C(256,5,1), C(384,3,1), C(384,3,1), C(256,3,1); `time`: the extents of the first three in time."""
    t1, t2, t3 = time
    kernels = t1 * 11 * 11 * 3 * 96 + t2 * 5 * 5 * 96 * 256 + t3 * 3 * 3 * 256 * 384 + 9 * 384 * 384 + 9 * 384 * 256
    return kernels + 96 + 256 + 384 + 384 + 256


def test_parameters_are_those_of_the_paper():
    # 170 -> 57 by conv1 (ceil(170 / 3)) -> 28, 14 and 7 by the pools, dropping the odd row: 7 * 7 * 256 numbers a step
    full = 7 * 7 * 256 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 487 + 487  # 487 classes of Sports-1M
    assert count("single") == conv_parameters() + full
    assert count("early") == conv_parameters(time=(10, 1, 1)) + full
    assert count("slow") == conv_parameters(time=(4, 2, 2)) + full
    assert count("late") == conv_parameters() + full + 7 * 7 * 256 * 4096  # of the second frame, into fc1


def test_batch_norm_takes_the_place_of_biases():
    channels = 96 + 256 + 384 + 384 + 256
    assert count("single", batch_norm=True) == count("single") + channels  # a scale and an offset for a bias
    assert set(shapes_of(make("slow", batch_norm=True))["batch_stats"]) == {f"bn{i}" for i in range(1, 6)}


def test_sizes_at_170_and_the_size_that_the_paper_names_without_the_last_pool():
    model = make("slow", width=1)
    _, ends = jax.eval_shape(lambda v: model.init_with_output(jax.random.key(0), v)[0], jnp.zeros((1, 10, 170, 170, 3)))
    assert ends["conv1"].shape == (1, 4, 57, 57, 96)
    assert ends["conv2"].shape == (1, 2, 28, 28, 256)
    assert ends["conv3"].shape == ends["conv4"].shape == (1, 1, 14, 14, 384)
    assert ends["conv5"].shape == (1, 1, 14, 14, 256)
    assert ends["fc1"].shape == ends["fc2"].shape == ends["features"].shape == (1, 1, 4096)
    model = make("single", width=1)
    _, ends = jax.eval_shape(lambda v: model.init_with_output(jax.random.key(0), v)[0], jnp.zeros((1, 1, 89, 89, 3)))
    assert ends["conv5"].shape == (1, 1, 7, 7, 256)  # section 3.2


@pytest.mark.parametrize("fusion, steps", [("single", 10), ("early", 1), ("late", 1), ("slow", 1)])
def test_logits_and_steps(fusion, steps):
    logits, ends = run(fusion)
    assert logits.shape == (2, 5) and ends["features"].shape == (2, steps, 128)
    assert set(ends) == {*(f"conv{i}" for i in range(1, 6)), "fc1", "fc2", "features"}
    features, _ = run(fusion, num_classes=None)
    np.testing.assert_array_equal(features, ends["features"])
    assert "fc3" not in shapes_of(make(fusion, num_classes=0))["params"]


@pytest.mark.parametrize("frames, steps", [(10, 1), (17, 1), (18, 2), (26, 3)])
def test_slow_fusion_makes_a_step_of_ten_frames_every_eight(frames, steps):
    model = make("slow")
    _, ends = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((1, frames, 24, 24, 3)))
    assert ends["features"].shape[1] == steps


@pytest.mark.parametrize("fusion", MIN_FRAMES)
def test_only_a_single_frame_network_is_blind_to_order(fusion):
    order = np.array([3, 1, 8, 0, 9, 2, 7, 6, 5, 4])
    difference = np.abs(run(fusion)[0] - run(fusion, VIDEO[:, order])[0]).max()
    assert difference < 1e-5 if fusion == "single" else difference > 1e-3


def extents_of(fusion, num_frames=10):
    """A function of endpoint and step: the frames on which that step depends, those with a gradient. Compiled once."""
    model = make(fusion, batch_norm=True)
    variables, video = drawn(model), uniform("video", (1, num_frames, 24, 24, 3))

    @jax.jit
    def gradient(counted):
        def total(video):
            ends = model.apply(variables, video)[1]
            return sum(jnp.tensordot(counted[name], jnp.abs(ends[name]).sum(0), 1).sum() for name in counted)

        return jnp.abs(jax.grad(total)(video)).sum((0, 2, 3, 4))

    steps = {name: x.shape[1] for name, x in jax.eval_shape(model.apply, variables, video)[1].items()}

    def frames_seen(endpoint, step):
        counted = {name: np.zeros(count, np.float32) for name, count in steps.items()}
        counted[endpoint][step] = 1
        return np.flatnonzero(gradient(counted)).tolist()

    return frames_seen


def test_extents_in_time():
    slow = extents_of("slow")
    assert [slow("conv1", i) for i in range(4)] == [list(range(s, s + 4)) for s in (0, 2, 4, 6)]
    assert [slow("conv2", i) for i in range(2)] == [list(range(6)), list(range(4, 10))]
    assert slow("conv3", 0) == list(range(10))
    assert extents_of("slow", num_frames=18)("features", 1) == list(range(8, 18))
    assert extents_of("early")("conv1", 0) == list(range(10))
    late = extents_of("late")
    assert late("conv5", 0) == [0] and late("conv5", 1) == [9] and late("fc1", 0) == [0, 9]
    assert extents_of("single")("fc2", 3) == [3]


def test_late_fusion_sees_the_first_and_the_last_frame_only():
    changed = VIDEO.copy()
    changed[:, 1:9] = 0
    np.testing.assert_array_equal(run("late")[0], run("late", changed)[0])
    swapped = VIDEO[:, ::-1]
    assert np.abs(run("late")[0] - run("late", swapped)[0]).max() > 1e-3


def test_late_fusion_shares_the_trunk():
    still = np.repeat(VIDEO[:, :1], 10, axis=1)
    conv5 = run("late", still)[1]["conv5"]
    np.testing.assert_allclose(conv5[:, 0], conv5[:, 1], atol=1e-6)


def test_a_single_frame_network_averages_the_frames_that_count():
    logits, _ = run("single", frame_mask=MASK)
    filtered, _ = run("single", VIDEO[1:, MASK[1] == 1])
    np.testing.assert_allclose(logits[1:], filtered, atol=1e-5)


@pytest.mark.parametrize("fusion", MIN_FRAMES)
def test_frames_that_do_not_count_are_not_seen(fusion):
    other = np.where(MASK[:, :, None, None, None] == 1, VIDEO, 3).astype(np.float32)
    np.testing.assert_array_equal(run(fusion, frame_mask=MASK)[0], run(fusion, other, frame_mask=MASK)[0])
    everything, _ = run(fusion, frame_mask=np.ones((2, 10)))
    np.testing.assert_allclose(everything, run(fusion)[0], atol=1e-6)
    np.testing.assert_array_equal(run(fusion, frame_mask=np.zeros((2, 10)))[0], 0)


def test_first_and_last_frame_that_count():
    video = jnp.arange(10.0).reshape(1, 10, 1, 1, 1).repeat(2, 0)
    assert first_and_last(video)[:, :, 0, 0, 0].tolist() == [[0, 9], [0, 9]]
    assert first_and_last(video, MASK)[:, :, 0, 0, 0].tolist() == [[0, 9], [1, 7]]


def test_slow_fusion_averages_the_steps_that_see_a_frame_that_counts():
    model, video = make("slow"), uniform("video", (1, 18, 24, 24, 3))
    mask = np.array([[1] * 8 + [0] * 10])
    masked, ends = model.apply(drawn(model), video, frame_mask=mask)
    alone, _ = model.apply(drawn(model), video[:, :10], frame_mask=mask[:, :10])
    assert ends["features"].shape[1] == 2
    np.testing.assert_allclose(masked, alone, atol=1e-5)


def test_conv1_and_conv2_are_normalised_with_the_constants_of_the_paper():
    model = make("single")
    video = 300 * VIDEO[:1, :1]  # large, so that the sum of squares counts
    (_, ends), captured = model.apply(drawn(model), video, capture_intermediates=True, mutable=["intermediates"])
    for name in ("conv1", "conv2"):
        x = np.maximum(captured["intermediates"][name]["__call__"][0].reshape(ends[name].shape), 0)
        around = np.pad(x**2, [(0, 0)] * 4 + [(2, 2)])
        total = sum(around[..., i : i + x.shape[-1]] for i in range(5))
        np.testing.assert_allclose(ends[name], x / np.sqrt(2 + 1e-4 * total), rtol=1e-4, atol=1e-4)
        assert (1e-4 * total).max() > 1
    outputs = captured["intermediates"]["conv3"]["__call__"][0]
    np.testing.assert_allclose(ends["conv3"], np.maximum(outputs.reshape(ends["conv3"].shape), 0), rtol=1e-5)


def test_same_in_space_leaves_time_alone():
    assert same_in_space((10, 170, 170), (4, 11, 11), (2, 3, 3)) == ((0, 0), (4, 5), (4, 5))
    assert same_in_space((48, 48), (5, 5), (1, 1)) == ((2, 2), (2, 2))


def test_computes_in_half_precision_with_whole_parameters():
    for fusion in MIN_FRAMES:
        for batch_norm in (False, True):
            model = make(fusion, dtype=jnp.bfloat16, batch_norm=batch_norm)
            shapes = shapes_of(model)
            assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}
            logits, ends = jax.eval_shape(model.apply, shapes, jnp.zeros(VIDEO.shape))
            assert logits.dtype == jnp.bfloat16
            assert {x.dtype for x in ends.values()} == {jnp.dtype(jnp.bfloat16)}


def test_training_uses_dropout_and_the_statistics_of_the_batch():
    model = make("slow", dropout=0.5, batch_norm=True)
    variables = drawn(model)
    (logits, ends), updates = model.apply(
        variables, VIDEO, train=True, rngs={"dropout": jax.random.key(1)}, mutable=["batch_stats"]
    )
    assert np.abs(updates["batch_stats"]["bn1"]["mean"] - variables["batch_stats"]["bn1"]["mean"]).max() > 1e-3
    other, same_ends = model.apply(
        variables, VIDEO, train=True, rngs={"dropout": jax.random.key(2)}, mutable=["batch_stats"]
    )[0]
    assert np.abs(logits - other).max() > 1e-3
    np.testing.assert_allclose(ends["conv5"], same_ends["conv5"], atol=1e-6)


@pytest.mark.parametrize(
    "fusion, shape, message",
    [
        ("slow", (1, 9, 24, 24, 3), "at least 10 frames"),
        ("early", (1, 1, 24, 24, 3), "at least 2 frames"),
        ("late", (1, 1, 24, 24, 3), "at least 2 frames"),
        ("single", (1, 1, 21, 24, 3), "at least 22x22"),
        ("single", (1, 24, 24, 3), "batch, time, height, width, channels"),
    ],
)
def test_videos_that_are_too_small(fusion, shape, message):
    with pytest.raises(ValueError, match=message):
        shapes_of(make(fusion), *shape)


def test_the_smallest_video_works():
    for fusion, frames in MIN_FRAMES.items():
        assert shapes_of(make(fusion), 1, frames, 22, 22, 3)


@pytest.mark.parametrize(
    "fusion, shape, message",
    [
        ("slow", (1, 10, 24, 24, 2), "for 3 channels"),
        ("single", (1, 10, 24, 24, 2), "for 3 channels"),
        ("early", (1, 12, 24, 24, 3), "fuse 10 frames early; got 12"),
        ("late", (1, 10, 48, 48, 3), "fc1 takes 16 numbers, but frames of 48x48 give 64"),
    ],
)
def test_videos_that_the_parameters_are_not_for(fusion, shape, message):
    model = make(fusion)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.apply, shapes_of(model), jnp.zeros(shape))


def test_unknown_fusions_are_listed():
    with pytest.raises(ValueError, match="'middle'; choose one of single, early, late, slow"):
        make("middle")
