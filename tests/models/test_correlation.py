import jax
import jax.numpy as jnp
import numpy as np

from vidjax.models import correlation


def maps_of(*shape: int) -> list[jax.Array]:
    return list(jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), jnp.float32))


def places_of(n: int, height: int, width: int, spread: float) -> jax.Array:
    """Each pixel, moved by a random flow; a tenth of them far outside."""
    rng = np.random.default_rng(1)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([x, y], -1) + spread * rng.normal(size=(n, height, width, 2))
    return jnp.asarray(np.where(rng.random(places.shape) < 0.1, 50 * places - 200, places), jnp.float32)


def sample(image: np.ndarray, x: float, y: float) -> float:
    """A bilinear sample of an image that is 0 outside."""
    left, top, total = int(np.floor(x)), int(np.floor(y)), 0.0
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
            total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_a_look_up_samples_the_averaged_volume():
    first, second = maps_of(1, 7, 10, 4)
    places, radius = places_of(1, 7, 10, 3), 2
    volumes = [correlation.all_pairs(first, maps) for maps in correlation.pyramid(second, 2)]
    found = np.asarray(correlation.look_up(volumes, places, radius)).reshape(7, 10, 2, 5, 5)
    volume = np.einsum("hwd,ijd->hwij", first[0], second[0]) / 2  # over sqrt(4)
    coarse = volume[:, :, :6].reshape(7, 10, 3, 2, 5, 2).mean((3, 5))
    outside = 0
    for i, j in np.ndindex(7, 10):
        for level, images in enumerate((volume, coarse)):
            x, y = np.asarray(places[0, i, j], np.float64) / 2**level
            window = [[sample(images[i, j], x + a, y + b) for b in range(-2, 3)] for a in range(-2, 3)]
            np.testing.assert_allclose(found[i, j, level], window, atol=1e-4)
            outside += not np.any(window)
    assert outside > 10


def test_a_look_up_on_demand_is_that_of_the_volume():
    first, second = maps_of(2, 16, 18, 32)
    places, seconds = places_of(2, 16, 18, 5), correlation.pyramid(second, 4)

    def in_volume(first, seconds):
        return correlation.look_up([correlation.all_pairs(first, maps) for maps in seconds], places, 3)

    def on_demand(first, seconds):
        return correlation.look_up_on_demand(first, seconds, places, 3)

    expected, gradients = jax.jit(in_volume)(first, seconds), []
    assert expected.shape == (2, 16, 18, 4 * 49)
    np.testing.assert_allclose(jax.jit(on_demand)(first, seconds), expected, atol=1e-5)
    for function in (in_volume, on_demand):
        square = lambda *maps, f=function: jnp.square(f(*maps)).sum()  # noqa: E731
        gradients.append(jax.jit(jax.grad(square, (0, 1)))(first, seconds))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), *gradients)


def test_correlation_within_a_square_is_a_loop():
    first, second = maps_of(2, 5, 9, 3)
    found = correlation.within_square(first, second, 4, 2)
    assert found.shape == (2, 5, 9, 25)
    for i, j in np.ndindex(5, 9):
        for number, (v, u) in enumerate(np.ndindex(5, 5)):
            row, column = i + 2 * v - 4, j + 2 * u - 4
            expected = np.zeros(2)
            if 0 <= row < 5 and 0 <= column < 9:
                expected = (first[:, i, j] * second[:, row, column]).mean(-1)
            np.testing.assert_allclose(found[:, i, j, number], expected, atol=1e-5)
