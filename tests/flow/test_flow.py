"""Requirements of every method, and the functions of `vidjax.flow`."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.peers.formula import uniform
from vidjax import flow

HEIGHT, WIDTH = 64, 72
FEWER_SCALES = {"tvl1": {"num_scales": 3}}  # to compile faster
every_method = pytest.mark.parametrize("method", flow.METHODS)


def moving_texture(right: int, down: int, name: str):
    """Two windows on a smooth texture, uint8: (x, y) in the first is (x + right, y + down) in the second."""
    noise = cv2.GaussianBlur(uniform(name, (HEIGHT + 16, WIDTH + 16)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).round().astype(np.uint8)
    return [texture[8 - y : 8 - y + HEIGHT, 8 - x : 8 - x + WIDTH] for x, y in ((0, 0), (right, down))]


def constant(first: int, second: int):
    return [np.full((HEIGHT, WIDTH), value, np.uint8) for value in (first, second)]


SHIFTED, EQUAL, OTHER = moving_texture(2, -1, "a"), moving_texture(0, 0, "a"), moving_texture(-1, 2, "b")
PAIRS = [[SHIFTED, constant(90, 90), constant(50, 200)], [OTHER, EQUAL, constant(255, 0)]]
FIRST, SECOND = np.moveaxis(np.array(PAIRS), 2, 0)  # uint8, (2, 3, H, W) both


@pytest.fixture(scope="module", autouse=True)
def quick_to_compile():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def flows(quick_to_compile):
    """Method -> the flow of FIRST and SECOND."""
    return {name: np.asarray(of(FIRST, SECOND, **FEWER_SCALES.get(name, {}))) for name, of in flow.METHODS.items()}


@every_method
def test_finds_a_shift(flows, method):
    found = flows[method]
    assert found.shape == (2, 3, HEIGHT, WIDTH, 2) and found.dtype == np.float32
    for of_pair, shift in ((found[0, 0], [2, -1]), (found[1, 0], [-1, 2])):
        errors = np.linalg.norm(of_pair - shift, axis=-1)
        assert errors[12:-12, 12:-12].max() < 0.1
        assert errors.mean() < 0.05  # pixels that leave the frame do not spoil the rest


@every_method
def test_frames_without_texture_do_not_move(flows, method):
    found = flows[method][[0, 0, 1], [1, 2, 2]]
    np.testing.assert_array_equal(found, 0)


@every_method
def test_equal_frames_do_not_move(flows, method):
    found = flows[method][1, 1]
    np.testing.assert_allclose(found[12:-12, 12:-12], 0, atol=0.01)
    np.testing.assert_allclose(found, 0, atol=0.5 if method == "farneback" else 0.01)  # at the border, like OpenCV's


@every_method
def test_a_batch_of_bytes_equals_one_pair_of_floats(flows, method):
    settings = FEWER_SCALES.get(method, {})
    for row, column in ((0, 0), (1, 0)):
        pair = [frames[row, column].astype(np.float32) for frames in (FIRST, SECOND)]
        single = flow.METHODS[method](*pair, **settings)
        assert single.shape == (HEIGHT, WIDTH, 2)
        np.testing.assert_allclose(single, flows[method][row, column], atol=1e-3)


@every_method
def test_shapes_and_dtypes(method):
    def result(*shape, dtype=np.float32):
        frames = jax.ShapeDtypeStruct(shape, dtype)
        found = jax.eval_shape(flow.METHODS[method], frames, frames)
        return found.shape, found.dtype

    assert result(8, 8) == ((8, 8, 2), jnp.float32)
    assert result(2, 0, 9, 30) == ((2, 0, 9, 30, 2), jnp.float32)
    assert result(16, 16, dtype=jnp.bfloat16) == ((16, 16, 2), jnp.float32)
    with jax.enable_x64(True):
        assert result(16, 16, dtype=np.float64) == ((16, 16, 2), jnp.float64)
        assert result(16, 16) == ((16, 16, 2), jnp.float32)


@every_method
def test_errors(method):
    function = flow.METHODS[method]
    with pytest.raises(ValueError, match=r"different sizes: \(16, 20\) and \(16, 21\)"):
        function(np.zeros((16, 20)), np.zeros((16, 21)))
    with pytest.raises(ValueError, match=r"Frames must be \(\.\.\., H, W\) of at least 8x8 pixels, not \(4, 7, 20\)"):
        function(np.zeros((4, 7, 20)), np.zeros((4, 7, 20)))


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("farneback", {"num_iterations": 2}),
        ("horn_schunck", {"num_scales": 1, "num_warps": 2, "num_iterations": 3}),
        ("lucas_kanade", {"num_iterations": 2}),
        ("tvl1", {"num_scales": 1, "num_warps": 2, "num_iterations": 3}),
    ],
)
def test_gradient_is_that_of_finite_differences(method, settings):
    """The gradient of the mean end-point error, with respect to both frames."""
    truth = uniform("truth", (24, 24, 2))
    pair = np.array([cv2.GaussianBlur(300 * uniform(name, (24, 24)), (0, 0), 1.5) + 128 for name in ("a", "b")])
    pair[1] = pair[0] + 0.1 * (pair[1] - 128)
    direction = uniform("direction", (2, 24, 24)).astype(np.float64)

    @jax.value_and_grad
    def error(frames):
        return jnp.linalg.norm(flow.METHODS[method](*frames, **settings) - truth, axis=-1).mean()

    with jax.enable_x64(True):
        error, pair, step = jax.jit(error), pair.astype(np.float64), 1e-6
        gradient = np.asarray(error(pair)[1])
        expected = (error(pair + step * direction)[0] - error(pair - step * direction)[0]) / (2 * step)
    assert gradient.dtype == np.float64 and np.isfinite(gradient).all()
    assert np.abs(gradient).max(axis=(1, 2)).min() > 0  # both frames count
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-5)


def test_of_video():
    video = (128 + 127 * uniform("video", (2, 3, 16, 20, 3))).astype(np.uint8)
    settings = {"num_levels": 1, "num_iterations": 2}
    found = flow.of_video(video, "lucas_kanade", **settings)
    assert found.shape == (2, 2, 16, 20, 2)
    grey = flow.to_grey(video)
    np.testing.assert_array_equal(found, flow.METHODS["lucas_kanade"](grey[:, :-1], grey[:, 1:], **settings))


def test_of_video_errors():
    with pytest.raises(
        ValueError, match="Unknown optical flow 'raft'; choose one of farneback, horn_schunck, lucas_kanade, "
    ):
        flow.of_video(np.zeros((2, 16, 16, 3), np.uint8), "raft")
    with pytest.raises(ValueError, match="needs two frames or more; the video has one"):
        flow.of_video(np.zeros((4, 1, 16, 16, 3), np.uint8))
    for shape in ((3, 16, 16), (16, 16, 3), (2, 16, 16, 1)):
        with pytest.raises(ValueError, match=r"A video must have the shape \(\.\.\., T, H, W, 3\), not \("):
            flow.of_video(np.zeros(shape, np.uint8))


def test_to_grey_is_opencvs_without_rounding():
    frames = (128 + 127 * uniform("colours", (4, 30, 40, 3))).astype(np.uint8)
    grey = flow.to_grey(frames)
    assert grey.shape == (4, 30, 40) and grey.dtype == np.float32
    for ours, frame in zip(grey, frames, strict=True):
        np.testing.assert_allclose(ours, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), atol=0.51)
    np.testing.assert_allclose(flow.to_grey(np.full((2, 3), 255, np.uint8)), 255, rtol=1e-6)
    np.testing.assert_allclose(flow.to_grey(np.eye(3, dtype=np.float32)), [0.299, 0.587, 0.114])


def test_levels():
    assert flow.to_levels(np.array([-35.0, -20, -10, 0, 10, 20, 35])).tolist() == [0, 0, 63.75, 127.5, 191.25, 255, 255]
    assert flow.from_levels(np.array([0.0, 63.75, 127.5, 255])).tolist() == [-20, -10, 0, 20]
    pixels = 30 * uniform("pixels", (5, 6, 2))
    np.testing.assert_allclose(flow.from_levels(flow.to_levels(jnp.asarray(pixels))), pixels.clip(-20, 20), atol=1e-5)
    rounded = np.rint(flow.to_levels(pixels)).astype(np.uint8)  # half a level is 0.08 pixels
    np.testing.assert_allclose(flow.from_levels(rounded), pixels.clip(-20, 20), atol=0.079)
