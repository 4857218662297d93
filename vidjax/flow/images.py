"""Image operations shared by the methods of optical flow: resize, smooth, warp, differentiate, median.

Images are float (..., H, W), flow is (2, H, W); positions and flow are pixels, x to the right and y down.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

SMALLEST = 8  # pixels
CUBIC = -0.75  # Keys' parameter a, with OpenCV's value


def over_pairs(flow_of: Callable, first: jax.Array, second: jax.Array) -> jax.Array:
    """Calls flow_of(first, second) -> (2, H, W) on pairs of float images: (..., H, W) twice -> (..., H, W, 2).

    Raises:
        ValueError: for frames of different sizes, or smaller than 8x8.
    """
    if first.shape != second.shape:
        raise ValueError(f"The two frames have different sizes: {first.shape} and {second.shape}.")
    if first.ndim < 2 or min(first.shape[-2:]) < SMALLEST:
        raise ValueError(f"Frames must be (..., H, W) of at least {SMALLEST}x{SMALLEST} pixels, not {first.shape}.")
    dtype = jnp.promote_types(jnp.result_type(first, second), jnp.float32)
    pairs = [x.astype(dtype).reshape(-1, *x.shape[-2:]) for x in (first, second)]
    if jax.default_backend() == "cpu" and jax.device_count() == 1:  # one by one: a pair stays in the cache
        flow = jax.lax.map(lambda pair: flow_of(*pair), pairs)
    else:
        flow = jax.vmap(flow_of)(*pairs)
    return jnp.moveaxis(flow, 1, -1).reshape(*first.shape, 2)


def check_settings(**settings):
    """Raises a ValueError for a number that is not positive, a `scale_step` not below 1, or an even `window`."""
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name} = {value} must be above 0.")
        if name == "scale_step" and value >= 1:
            raise ValueError(f"scale_step = {value} must be below 1, to make each pyramid level smaller.")
        if name == "window" and value % 2 == 0:
            raise ValueError(f"window = {value} must be odd, to be centred on a pixel.")


def pyramid(image: jax.Array, *, num_scales: int, scale_step: float, smallest: int, kernel=None) -> list[jax.Array]:
    """An image pyramid: each level is `scale_step` times the size of the last, while no side is below `smallest`.

    Args:
        image: (..., H, W), the first level.
        num_scales: largest number of levels.
        smallest: smallest side of a level, pixels.
        kernel: smooths each level before it is resized; None for no smoothing.
    """
    levels = [image]
    for _ in range(num_scales - 1):
        image = levels[-1] if kernel is None else smooth(levels[-1], kernel)
        shape = tuple(round(size * scale_step) for size in image.shape[-2:])
        if min(shape) < smallest:
            break
        levels.append(resize(image, shape, (scale_step, scale_step)))
    return levels


def coarse_to_fine(
    first: jax.Array, second: jax.Array, improve: Callable, *, scale_step: float, **of_pyramid
) -> jax.Array:
    """The flow (2, H, W) between two images (H, W), refined from the coarsest pyramid level to the finest.

    Args:
        improve: (first, second, flow) at a level -> a better flow; starts from the coarser level, or 0.
        scale_step, of_pyramid: see `pyramid`.
    """
    levels = [pyramid(image, scale_step=scale_step, **of_pyramid) for image in (first, second)]
    flow = jnp.zeros((2, *levels[0][-1].shape), first.dtype)
    for one, other in reversed(list(zip(*levels, strict=True))):
        if flow.shape[1:] != one.shape:
            flow = resize(flow, one.shape) / scale_step
        flow = improve(one, other, flow)
    return flow


def resize(image: jax.Array, shape: tuple[int, int], scale: tuple[float, float] | None = None) -> jax.Array:
    """Bilinear resizing without antialiasing, like OpenCV's INTER_LINEAR: (..., H, W) -> (..., *shape).

    Args:
        scale: factors of height and width; by default the ratio of the shapes, which differs if the shape was rounded.
    """
    if image.shape[-2:] == shape:
        return image
    *leading, height, width = image.shape
    scale = scale or (shape[0] / height, shape[1] / width)
    to, at = jnp.asarray(scale, image.dtype), jnp.zeros(2, image.dtype)
    axes = image.ndim - 2, image.ndim - 1
    return jax.image.scale_and_translate(image, (*leading, *shape), axes, to, at, "linear", antialias=False)


def smooth(image: jax.Array, kernel: np.ndarray, mode: str = "reflect") -> jax.Array:
    """Convolves rows and columns with an odd, symmetric kernel; `mode` is the border mode of `numpy.pad`."""
    return correlate(correlate(image, kernel, -2, mode), kernel, -1, mode)


def correlate(image: jax.Array, kernel: np.ndarray, axis: int, mode: str = "edge") -> jax.Array:
    """sum_k kernel[k + n] image[i + k] along rows (axis -2) or columns (axis -1), k = -n..n."""
    reach, size = len(kernel) // 2, image.shape[axis]
    padded = jnp.pad(
        image, [(reach, reach) if i - image.ndim == axis else (0, 0) for i in range(image.ndim)], mode=mode
    )
    taps = (float(w) * jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k, w in enumerate(kernel) if w)
    return jax.lax.optimization_barrier(sum(taps))  # else XLA recomputes it for each tap of the next filter


def gaussian(sigma: float, reach: int) -> np.ndarray:
    """A Gaussian at -reach..reach, normalised to the sum 1: (2 reach + 1,)."""
    values = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return values / values.sum()


def central_differences(image: jax.Array) -> jax.Array:
    """Central differences along x and y: (H, W) -> (2, H, W); border pixels are repeated outside, which halves them."""
    return jnp.stack([correlate(image, np.array([-0.5, 0, 0.5]), axis) for axis in (-1, -2)])


def positions(flow: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The position of each pixel after the flow (2, H, W): x and y, (H, W) each."""
    y, x = (jnp.arange(size, dtype=flow.dtype) for size in flow.shape[1:])
    return x + flow[0], y[:, None] + flow[1]


def bilinear(image: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Bilinear samples of the image (C, H, W) at positions (...) -> (C, ...); outside, the border pixels repeat."""
    height, width = image.shape[1:]
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    left, top = jnp.floor(jnp.minimum(x, width - 2)), jnp.floor(jnp.minimum(y, height - 2))
    across, down = x - left, y - top
    weights = [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down]
    return _gathered(image, left, top, weights, 2)


def bicubic(image: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Samples of the image (C, H, W) at positions (...) -> (C, ...), by cubic convolution; outside, the image is 0."""
    image = jnp.pad(image, ((0, 0), (3, 3), (3, 3)))  # further than two pixels outside, samples are 0
    height, width = image.shape[1:]
    x, y = jnp.clip(x + 3, 1, width - 2), jnp.clip(y + 3, 1, height - 2)
    left, top = jnp.floor(jnp.minimum(x, width - 3)), jnp.floor(jnp.minimum(y, height - 3))
    weights = [w * v for v in _cubic_weights(y - top) for w in _cubic_weights(x - left)]
    return _gathered(image, left - 1, top - 1, weights, 4)


def _gathered(image: jax.Array, left: jax.Array, top: jax.Array, weights: list[jax.Array], size: int) -> jax.Array:
    """The weighted sum of size x size pixels from (left, top) on: (C, H, W) -> (C, ...)."""
    channels, _, width = image.shape
    pixels = image.reshape(channels, -1).T  # (H W, C), so that one read gets all channels
    corner = top.astype(int) * width + left.astype(int)
    offsets = [j * width + i for j in range(size) for i in range(size)]
    total = sum(w[..., None] * pixels[corner + offset] for offset, w in zip(offsets, weights, strict=True))
    return jnp.moveaxis(total, -1, 0)


def _cubic_weights(t: jax.Array) -> list[jax.Array]:
    """Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), equation 15: 4 weights."""
    a = CUBIC

    def near(s):
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s):
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def median(image: jax.Array, size: int) -> jax.Array:
    """The median filter over size x size pixels, size odd: (..., H, W) -> (..., H, W); border pixels repeat outside.

    By forgetful selection: among a little over half of the pixels, neither the largest nor the smallest can be the
    median, so drop both, take the next pixel, and repeat until one is left. Hardware compares whole images fast.
    """
    reach, (height, width) = size // 2, image.shape[-2:]
    padded = jnp.pad(image, [(0, 0)] * (image.ndim - 2) + [(reach, reach)] * 2, mode="edge")
    waiting = [padded[..., j : j + height, i : i + width] for j in range(size) for i in range(size)]
    kept = [waiting.pop() for _ in range(size * size // 2 + 2)]
    while True:
        for i in range(len(kept) // 2):  # smaller half to the front, so that each extreme lies in one half
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


@median.defjvp
def _median_jvp(size: int, primals: tuple, tangents: tuple):
    """The derivative: 1 at the first pixel equal to the median. That of the comparisons takes minutes to compile."""
    (image,), (tangent,) = primals, tangents
    found, reach, (height, width) = median(image, size), size // 2, image.shape[-2:]
    edges = [(0, 0)] * (image.ndim - 2) + [(reach, reach)] * 2
    image, tangent = jnp.pad(image, edges, mode="edge"), jnp.pad(tangent, edges, mode="edge")
    is_taken, change = jnp.zeros(found.shape, bool), jnp.zeros_like(found)
    for j in range(size):
        for i in range(size):
            window = slice(j, j + height), slice(i, i + width)
            is_it = (image[..., *window] == found) & ~is_taken
            change, is_taken = change + jnp.where(is_it, tangent[..., *window], 0), is_taken | is_it
    return found, change
