"""Inflates 2-D parameters to 3-D parameters.

Carreira and Zisserman, "Quo Vadis, Action Recognition?" (CVPR 2017), section 2.4.1: a kernel is repeated over time and
divided by its length in time, so that a video of one repeated frame gives the activations of that frame. Alternatively
it becomes the centre tap, which sees each frame by itself (Girdhar et al., "Detect-and-Track", CVPR 2018, section 3.1).
The variables are flat dicts, path -> array. Both networks have the same paths.
"""

import re

import jax
import jax.numpy as jnp

from vidjax import trees

Flat = dict[str, jax.Array]
KINDS = ("repeat", "centre")


def inflate(variables: Flat, fresh: Flat, kind: str = "repeat") -> Flat:
    """Converts the variables of a 2-D network to those of a 3-D network of the same structure.

    Arrays of equal shape are copied, BatchNorm's statistics included. A kernel without a time axis is inflated. For
    another number of channels than 3, such as optical flow, a kernel's mean over the channels is repeated (Wang et al.,
    "Temporal Segment Networks", ECCV 2016, section 3.2). `factorise` handles networks that split their kernels into
    space and time. A norm without a scale gets a scale of 1.

    Args:
        variables: variables of the 2-D network.
        fresh: randomly initialised variables of the 3-D network.
        kind: "repeat" over time and divide by the length, or "centre": use the centre tap, with zeros elsewhere.

    Returns:
        The variables of the 3-D network.

    Raises:
        ValueError: for an unknown kind, or networks of different structure; lists the first differences.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of inflation {kind!r}; choose {' or '.join(KINDS)}.")
    if any("/temporal/" in path for path in fresh) and not any("/temporal/" in path for path in variables):
        variables = factorise(variables, fresh, kind)
    fitted = {
        path: _fit(path, array, fresh[path].shape, kind) if path in fresh else array
        for path, array in variables.items()
    }
    for path, initial in fresh.items():  # Inception's norms have no scale, so 1; S3D's have one
        if path.endswith("/scale") and path not in fitted and re.sub("scale$", "bias", path) in fitted:
            fitted[path] = jnp.ones_like(initial)
    if lines := trees.differences(trees.shapes(fresh), trees.shapes(fitted), "the other"):
        raise ValueError(f"The two networks differ in structure:{lines}")
    return {path: fitted[path].astype(fresh[path].dtype) for path in fresh}


def _fit(path: str, array: jax.Array, shape: tuple[int, ...], kind: str) -> jax.Array:
    """Inflates a kernel towards `shape`; `inflate` reports what still differs."""
    if not path.endswith("/kernel") or array.shape == shape:
        return array
    if array.ndim >= 4 and array.shape[-2] == 3 != shape[-2]:  # a kernel over RGB
        array = jnp.repeat(array.mean(-2, keepdims=True), shape[-2], -2)
    if array.ndim == 4 and len(shape) == 5:
        array = over_time(array, shape[0], kind)
    return array


def over_time(kernel: jax.Array, length: int, kind: str) -> jax.Array:
    """(h, w, C, D) -> (length, h, w, C, D)."""
    if kind == "repeat":
        return jnp.repeat(kernel[None] / length, length, 0)
    return jnp.zeros((length, *kernel.shape), kernel.dtype).at[length // 2].set(kernel)


def factorise(variables: Flat, fresh: Flat, kind: str = "repeat") -> Flat:
    """Initialises a network that splits its kernels into space and time (R(2+1)D, S3D) from a 2-D network.

    The spatial kernel is the 2-D one, the temporal kernel is the identity over channels. The norm after the spatial
    kernel is the 2-D network's, the norm after the temporal kernel does nothing. This is exact for S3D, and for a
    single (2+1)-D convolution of equal widths followed by a ReLU. For R(2+1)D it is approximate, for two reasons. Its
    ReLU between the two kernels cuts off negative values before the shortcut is added. Its width between them differs
    from the 2-D network's: surplus channels stay randomly initialised with zero weights after them, and missing
    channels are lost.

    Arguments are like those of `inflate`.
    """
    result = {}
    for path, initial in fresh.items():
        if "/temporal/" in path or _follows_temporal(path, fresh):
            result[path] = _pass_on(path, initial, kind)
            continue
        source = re.sub(r"/conv(\d)/norm/", r"/bn\1/", path.replace("/spatial/", "/"))
        if source in variables:
            found = variables[source]
            found = found[None] if "/spatial/" in path and found.ndim == 4 else found  # (1, h, w, C, D)
            same = min(found.shape[-1], initial.shape[-1])
            between = "/spatial/" in path or "/norm/" in path
            result[path] = initial.at[..., :same].set(found[..., :same]) if between else found
    return result


def _follows_temporal(path: str, fresh: Flat) -> bool:
    """Whether the array belongs to the norm after a temporal kernel: bn1 after conv1/temporal."""
    norm = re.fullmatch(r"\w+/(.*?)bn(\d)/\w+", path)
    return norm is not None and f"params/{norm[1]}conv{norm[2]}/temporal/kernel" in fresh


def _pass_on(path: str, initial: jax.Array, kind: str) -> jax.Array:
    """Returns an array that leaves its input unchanged: the identity over channels, or a norm without effect."""
    if path.endswith("/kernel"):
        return over_time(jnp.eye(*initial.shape[-2:])[None, None], initial.shape[0], kind)
    epsilon = 1e-3 if "/batch_norm/" in path else 1e-5  # Inception's norms; ResNet's norms
    values = {"scale": 1.0, "var": 1.0 - epsilon}
    return jnp.full(initial.shape, values.get(path.rpartition("/")[2], 0.0))
