"""Operations on images that the methods of optical flow share: resize, smooth, warp, differences, median.

Images are (H, W) or (H, W, C), float; positions and flow are pixels, x to the right and y down.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

SMALLEST = 8  # pixels
CUBIC = -0.75  # Keys' parameter a, as OpenCV has it


def over_pairs(flow_of: Callable, first: jax.Array, second: jax.Array) -> jax.Array:
    """Calls flow_of(first, second) on pairs of float images (H, W): (..., H, W) twice -> (..., H, W, 2).

    Raises:
        ValueError: for frames of different or impossible size.
    """
    if first.shape != second.shape:
        raise ValueError(f"The two frames have different sizes: {first.shape} and {second.shape}.")
    if first.ndim < 2 or min(first.shape[-2:]) < SMALLEST:
        raise ValueError(f"Frames (..., H, W) of at least {SMALLEST}x{SMALLEST} pixels are needed, not {first.shape}.")
    dtype = jnp.promote_types(jnp.result_type(first, second), jnp.float32)
    pairs = [x.astype(dtype).reshape(-1, *x.shape[-2:]) for x in (first, second)]
    if jax.default_backend() == "cpu":  # one after the other: what a pair needs stays in the cache
        flow = jax.lax.map(lambda pair: flow_of(*pair), pairs)
    else:
        flow = jax.vmap(flow_of)(*pairs)
    return flow.reshape(*first.shape, 2)


def pyramid(image: jax.Array, *, num_scales: int, scale_step: float, smallest: int, kernel=None) -> list[jax.Array]:
    """The image, and it again and again smaller by `scale_step`, until a side would be under `smallest` pixels.

    kernel: smooths each before it is made smaller; None does not.
    """
    levels = [image]
    for _ in range(num_scales - 1):
        image = levels[-1] if kernel is None else smooth(levels[-1], kernel)
        shape = tuple(round(size * scale_step) for size in image.shape)
        if min(shape) < smallest:
            break
        levels.append(resize(image, shape, (scale_step, scale_step)))
    return levels


def resize(image: jax.Array, shape: tuple[int, int], scale: tuple[float, float] | None = None) -> jax.Array:
    """Bilinear, without smoothing, pixels as areas (OpenCV's INTER_LINEAR): (H, W, ...) -> (*shape, ...).

    Args:
        scale: of height and width; by default from the shapes. A pyramid of factor 0.8 has it, and rounds only sizes.
    """
    scale = scale or (shape[0] / image.shape[0], shape[1] / image.shape[1])
    to, at = jnp.asarray(scale, image.dtype), jnp.zeros(2, image.dtype)
    full = (*shape, *image.shape[2:])
    return jax.image.scale_and_translate(image, full, (0, 1), to, at, "linear", antialias=False)


def smooth(image: jax.Array, kernel: np.ndarray, mode: str = "reflect") -> jax.Array:
    """Convolves rows and columns with an odd, symmetric kernel; `mode` is numpy's, of the borders."""
    for axis in (0, 1):
        image = correlate(image, kernel, axis, mode)
    return image


def correlate(image: jax.Array, kernel: np.ndarray, axis: int, mode: str = "edge") -> jax.Array:
    """sum_k kernel[k + n] image[i + k] along one of the first two axes, k = -n..n."""
    reach = len(kernel) // 2
    padded = jnp.pad(image, [(reach, reach) if i == axis else (0, 0) for i in range(image.ndim)], mode=mode)
    size = image.shape[axis]
    return sum(float(w) * jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k, w in enumerate(kernel) if w)


def gaussian(sigma: float, reach: int) -> np.ndarray:
    """A Gaussian at -reach..reach, of sum 1: (2 reach + 1,)."""
    values = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return values / values.sum()


def central_differences(image: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The derivatives along x and y, halved at the borders, where the outer pixel is that of the border."""
    padded = jnp.pad(image, 1, mode="edge")
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2


def positions(u: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where each pixel is after the flow u, v: x and y, (H, W) all."""
    y, x = (jnp.arange(size, dtype=u.dtype) for size in u.shape)
    return x + u, y[:, None] + v


def bilinear(image: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """The image (H, W, C) at positions (...) -> (..., C); those outside take the border's."""
    height, width = image.shape[:2]
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    left, top = jnp.floor(jnp.minimum(x, width - 2)), jnp.floor(jnp.minimum(y, height - 2))
    a, b = (x - left)[..., None], (y - top)[..., None]
    corner = top.astype(int) * width + left.astype(int)
    pixels = image.reshape(height * width, -1)
    upper = pixels[corner] * (1 - a) + pixels[corner + 1] * a
    lower = pixels[corner + width] * (1 - a) + pixels[corner + width + 1] * a
    return upper * (1 - b) + lower * b


def bicubic(image: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """The image (H, W, C) at positions (...) -> (..., C), by cubic convolution; all around the image is 0."""
    pixels = jnp.pad(image, ((3, 3), (3, 3), (0, 0)))  # beyond two pixels outside nothing is seen of it
    height, width = pixels.shape[:2]
    x, y = jnp.clip(x + 3, 1, width - 2), jnp.clip(y + 3, 1, height - 2)
    left, top = jnp.floor(jnp.minimum(x, width - 3)), jnp.floor(jnp.minimum(y, height - 3))
    corner = (top.astype(int) - 1) * width + left.astype(int) - 1
    pixels = pixels.reshape(height * width, -1)
    weights_x, weights_y = _cubic_weights(x - left), _cubic_weights(y - top)

    def row(j):
        return sum(weights_x[i][..., None] * pixels[corner + j * width + i] for i in range(4))

    return sum(weights_y[j][..., None] * row(j) for j in range(4))


def _cubic_weights(t: jax.Array) -> list[jax.Array]:
    """Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), equation 15: of 4 neighbours."""
    a = CUBIC

    def near(s):
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s):
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def median(image: jax.Array, size: int) -> jax.Array:
    """The median of size x size pixels around each, odd; outer pixels are those of the border. (H, W).

    By forgetful selection: of a little over half of them the largest and the smallest cannot be the median, so both are
    dropped and the next one is taken up, until one is left. Comparisons of whole images are what hardware does well.
    """
    reach = size // 2
    padded = jnp.pad(image, reach, mode="edge")
    height, width = image.shape
    waiting = [padded[j : j + height, i : i + width] for j in range(size) for i in range(size)]
    kept = [waiting.pop() for _ in range(size * size // 2 + 2)]
    while True:
        for i in range(len(kept) // 2):  # the smaller half to the front, so that the ends are found in one half each
            j = len(kept) - 1 - i
            kept[i], kept[j] = jnp.minimum(kept[i], kept[j]), jnp.maximum(kept[i], kept[j])
        middle = (len(kept) + 1) // 2
        for i in range(1, middle):
            kept[0], kept[i] = jnp.minimum(kept[0], kept[i]), jnp.maximum(kept[0], kept[i])
        for i in range(len(kept) // 2, len(kept) - 1):
            kept[-1], kept[i] = jnp.maximum(kept[-1], kept[i]), jnp.minimum(kept[-1], kept[i])
        kept = kept[1:-1]
        if not waiting:
            return kept[0]
        kept.append(waiting.pop())
