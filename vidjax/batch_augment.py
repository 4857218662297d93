"""Augmentation of training batches on the device, between the records and `preprocess`: pure functions of a key.

Clips are cropped, flipped and jittered when they are read, see `data.augment`. Here whole batches are augmented: each
clip by an affine map, RandAugment and random erasing, with one draw for all its frames, then pairs of clips by mixup or
CutMix.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

NAMES = ("affine", "rand_augment", "erase", "mixup", "cutmix")  # the settings of `augment_batch`
GREY = 128.0  # outside of the frames that RandAugment moves
LUMA = (0.299, 0.587, 0.114)


def augment_batch(
    batch: dict[str, jax.Array],
    key: jax.Array,
    *,
    num_classes: int | None = None,
    affine: float = 0.0,
    rand_augment: Sequence[float] = (),
    erase: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> dict[str, jax.Array]:
    """Augments the `video` of a batch, and mixes its `target` with it. Without a setting it returns the batch.

    Args:
        batch: `video` (B, T, H, W, 3) in 0..255; `target` int (B,), or multi-hot (B, K).
        key: the random draws derive from it alone.
        num_classes: K, for mixup and CutMix of integer targets.
        affine: probability of each of the components of an affine map; see `affine_clip`.
        rand_augment: number of operations per clip, and their magnitude in 0..10; see `rand_augment_clip`.
        erase: probability of erasing a box of a clip; see `erase_clip`.
        mixup, cutmix: parameters of the Beta distributions; see `mix`. With both, each batch gets one of them.

    Returns:
        The batch with a float32 video (float64 if JAX computes in it), and after mixup or CutMix a target float (B, K).
    """
    operations_key, erase_key, mix_key = jax.random.split(key, 3)
    if affine:
        affine_key = jax.random.fold_in(operations_key, 0)
        batch = {**batch, "video": _each_clip(affine_clip, batch["video"], affine_key, affine)}
    if rand_augment:
        batch = {**batch, "video": _each_clip(rand_augment_clip, batch["video"], operations_key, *rand_augment)}
    if erase:
        batch = {**batch, "video": _each_clip(erase_clip, batch["video"], erase_key, erase)}
    if mixup or cutmix:
        kept = draw_kept(mix_key, batch["video"].shape[2:4], mixup, cutmix)
        batch = {**batch, **mix(batch["video"], batch["target"], kept, num_classes)}
    return batch


def _each_clip(augment, video: jax.Array, key: jax.Array, *arguments) -> jax.Array:
    keys = jax.random.split(key, len(video))
    return jax.vmap(lambda clip, key: augment(clip, key, *arguments))(video.astype(float), keys)


def make_key(seed: int) -> jax.Array:
    """The key of a run, from which the keys of its steps derive; other draws of the run have the key of the seed."""
    return jax.random.fold_in(jax.random.key(seed), 2**32 - 1)


def check(
    *,
    affine: float = 0.0,
    rand_augment: Sequence[float] = (),
    erase: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
):
    """Raises a ValueError for invalid settings of `augment_batch`."""
    if rand_augment and not (len(rand_augment) == 2 and rand_augment[0] >= 1 and 0 <= rand_augment[1] <= 10):
        raise ValueError(
            f"augment.rand_augment = {tuple(rand_augment)} must be empty, or a number of operations and their "
            "magnitude in 0..10, such as (4, 7)."
        )
    for name, probability in {"affine": affine, "erase": erase}.items():
        if not 0 <= probability <= 1:
            raise ValueError(f"augment.{name} = {probability} must be a probability, between 0 and 1.")
    if min(mixup, cutmix) < 0:
        raise ValueError(f"augment.mixup = {mixup} and augment.cutmix = {cutmix} must be 0 or more.")


# --- Mixup and CutMix: one draw per batch -----------------------------------------------------------------------------


def draw_kept(key: jax.Array, size: tuple[int, int], mixup: float, cutmix: float) -> jax.Array:
    """Draws the share of each pixel that a clip keeps: one number for mixup, 1 and 0 for CutMix.

    Mixup: Zhang et al., https://arxiv.org/abs/1710.09412. CutMix: Yun et al., https://arxiv.org/abs/1905.04899, whose
    box may reach beyond the frame. With both, each has probability 1/2, as in timm.

    Returns:
        float (H, W).
    """
    which_key, share_key, *place_keys = jax.random.split(key, 4)
    cuts = jax.random.bernoulli(which_key, 0.5 if mixup and cutmix else float(cutmix > 0))
    alpha = jnp.where(cuts, cutmix, mixup)
    share = jax.random.beta(share_key, alpha, alpha)
    inside = jnp.ones(size, bool)
    for axis, (length, place_key) in enumerate(zip(size, place_keys, strict=True)):
        half = jnp.floor(length * jnp.sqrt(1 - share)) // 2
        centre, pixels = jax.random.randint(place_key, (), 0, length), jnp.arange(length)
        within = (pixels >= centre - half) & (pixels < centre + half)
        inside &= jnp.expand_dims(within, 1 - axis)
    return jnp.where(cuts, 1 - inside.astype(share.dtype), share)


def mix(video: jax.Array, target: jax.Array, kept: jax.Array, num_classes: int | None) -> dict[str, jax.Array]:
    """Mixes clip i with clip B - 1 - i; the targets get the same shares as the pixels.

    Args:
        video, target: see `augment_batch`.
        kept: float (H, W), the share of each pixel that a clip keeps.

    Returns:
        `video` float (B, T, H, W, C), and `target` float (B, K).
    """
    if jnp.issubdtype(target.dtype, jnp.integer):
        target = jax.nn.one_hot(target, num_classes)
    video, pixels, share = video.astype(float), kept[..., None], kept.mean()
    return {
        "video": pixels * video + (1 - pixels) * video[::-1],
        "target": share * target + (1 - share) * target[::-1],
    }


# --- Affine maps: one per clip ----------------------------------------------------------------------------------------


def affine_clip(clip: jax.Array, key: jax.Array, probability: float) -> jax.Array:
    """Distorts all frames of a clip (T, H, W, C) by one affine map about their centre; the border goes on outside.

    The components of Koch et al. (2015), section 3.2, each with a probability (0.5 in the paper): a rotation of up to
    10 degrees, a shear along x and one along y of up to 0.3, scales of x and y in 0.8..1.2, translations of up to 2/105
    of the frame, which are 2 pixels there.
    """
    use_key, draw_key = jax.random.split(key)
    used = jax.random.bernoulli(use_key, probability, (7,))
    draws = jnp.where(used, jax.random.uniform(draw_key, (7,), minval=-1.0), 0.0)
    largest = jnp.array([math.pi / 18, 0.3, 0.3, 0.2, 0.2, 2 / 105, 2 / 105])
    angle, shear_x, shear_y, scale_x, scale_y, shift_x, shift_y = draws * largest
    c, s = jnp.cos(angle), jnp.sin(angle)
    rotated = jnp.array([[c, -s], [s, c]]) @ jnp.array([[1, shear_x], [shear_y, 1]])
    linear = rotated * jnp.array([1 + scale_x, 1 + scale_y])
    size = jnp.array(clip.shape[2:0:-1], float)  # (width, height)
    offset = size / 2 - linear @ (size / 2) + jnp.array([shift_x, shift_y]) * size
    return warp(clip, jnp.concatenate([linear, offset[:, None]], 1), outside=None)


# --- Random erasing: one box per clip ---------------------------------------------------------------------------------


def erase_clip(clip: jax.Array, key: jax.Array, probability: float) -> jax.Array:
    """Replaces a box of a clip (T, H, W, C), the same in all frames, by random pixels, with a probability.

    Zhong et al., https://arxiv.org/abs/1708.04896, with the box of VideoMAE's code: 2 % to 1/3 of the frame, aspect 0.3
    to 1/0.3. Differences: a box that is too long is cut to the frame, not drawn again; pixels are uniform in 0..255,
    and the same in all frames, so that they do not flicker.
    """
    size = jnp.asarray(clip.shape[1:3])
    use_key, area_key, aspect_key, place_key, pixel_key = jax.random.split(key, 5)
    area = jax.random.uniform(area_key, minval=0.02, maxval=1 / 3) * size.prod()
    aspect = jnp.exp(jax.random.uniform(aspect_key, minval=math.log(0.3), maxval=-math.log(0.3)))
    box = jnp.minimum(jnp.round(jnp.sqrt(area * jnp.stack([aspect, 1 / aspect]))), size)
    start = jnp.floor(jax.random.uniform(place_key, (2,)) * (size - box + 1))
    rows, columns = jnp.arange(clip.shape[1])[:, None], jnp.arange(clip.shape[2])
    inside = (rows >= start[0]) & (rows < start[0] + box[0]) & (columns >= start[1]) & (columns < start[1] + box[1])
    pixels = jax.random.uniform(pixel_key, clip.shape[1:], clip.dtype, maxval=255.0)
    return jnp.where(inside[..., None] & jax.random.bernoulli(use_key, probability), pixels, clip)


# --- RandAugment: the same operations for all frames of a clip --------------------------------------------------------


def rand_augment_clip(clip: jax.Array, key: jax.Array, num_operations: int, magnitude: float) -> jax.Array:
    """Changes a clip (T, H, W, 3) by random operations, one after the other, each with probability 1/2.

    Cubuk et al., https://arxiv.org/abs/1909.13719, with the operations and ranges of timm's "rand-m7-n4-mstd0.5-inc1",
    which VideoMAE's code uses: the magnitude is Gaussian with standard deviation 0.5, its sign random. Differences to
    timm: no equalisation; contrasts take the statistics of the clip, not of each frame; geometry is always bilinear;
    values are not rounded in between.
    """
    keys = jax.random.split(key, int(num_operations))
    return jax.lax.scan(lambda clip, key: (change(clip, key, magnitude), None), clip, keys)[0]


def change(clip: jax.Array, key: jax.Array, magnitude: float) -> jax.Array:
    """Changes a clip by one random operation with probability 1/2."""
    use_key, which_key, level_key, sign_key = jax.random.split(key, 4)
    level = jnp.clip(magnitude + 0.5 * jax.random.normal(level_key), 0, 10) / 10
    signed = jnp.where(jax.random.bernoulli(sign_key), level, -level)
    which = jax.random.randint(which_key, (), 0, len(COLOURS) + len(GEOMETRY))
    changed = jax.lax.switch(jnp.minimum(which, len(COLOURS)), [*COLOURS, _move(which)], clip, level, signed)
    return jnp.where(jax.random.bernoulli(use_key), changed, clip)


def autocontrast(clip, level, signed):
    low, high = clip.min((0, 1, 2)), clip.max((0, 1, 2))  # (C,)
    return jnp.where(high > low, (clip - low) * (255 / jnp.maximum(high - low, 1)), clip)


def invert(clip, level, signed):
    return 255 - clip


def posterize(clip, level, signed):
    step = 2.0 ** (4 + jnp.floor(4 * level))  # keeps 4 to 0 bits
    return jnp.floor(clip / step) * step


def solarize(clip, level, signed):
    return jnp.where(clip < 256 - jnp.floor(256 * level), clip, 255 - clip)


def solarize_add(clip, level, signed):
    return jnp.where(clip < 128, jnp.minimum(clip + jnp.floor(110 * level), 255), clip)


def brightness(clip, level, signed):
    return _blend(jnp.zeros_like(clip), clip, signed)


def colour(clip, level, signed):
    return _blend((clip @ jnp.asarray(LUMA, clip.dtype))[..., None], clip, signed)


def contrast(clip, level, signed):
    return _blend((clip @ jnp.asarray(LUMA, clip.dtype)).mean(), clip, signed)


def sharpness(clip, level, signed):
    """Blends with a 3x3 mean whose centre weighs 5; pixels at the border stay, as in PIL."""
    _, height, width, _ = clip.shape
    rows = clip[:, :-2] + clip[:, 1:-1] + clip[:, 2:]
    smooth = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * clip[:, 1:-1, 1:-1]) / 13
    if height < 3 or width < 3:
        return clip
    return clip.at[:, 1:-1, 1:-1].set(_blend(smooth, clip[:, 1:-1, 1:-1], signed))


def _blend(plain, clip, signed):
    return jnp.clip(plain + (1 + 0.9 * signed) * (clip - plain), 0, 255)


COLOURS = (autocontrast, invert, posterize, solarize, solarize_add, brightness, colour, contrast, sharpness)


def rotation(signed, height, width):
    """Of up to 30 degrees, about the centre."""
    angle = signed * (math.pi / 6)
    c, s, x, y = jnp.cos(angle), jnp.sin(angle), width / 2, height / 2
    return jnp.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]])


def shear_x(signed, height, width):
    return jnp.array([[1, 0.3 * signed, 0], [0, 1, 0]])


def shear_y(signed, height, width):
    return jnp.array([[1, 0, 0], [0.3 * signed, 1, 0]])


def translation_x(signed, height, width):
    return jnp.array([[1, 0, 0.45 * signed * width], [0, 1, 0]])


def translation_y(signed, height, width):
    return jnp.array([[1, 0, 0], [0, 1, 0.45 * signed * height]])


GEOMETRY = (rotation, shear_x, shear_y, translation_x, translation_y)


def _move(which):
    """All movements are one warp, so that a batch pays for one."""

    def move(clip, level, signed):
        return warp(clip, jax.lax.switch(which - len(COLOURS), GEOMETRY, signed, *map(float, clip.shape[1:3])))

    return move


def warp(clip: jax.Array, matrix: jax.Array, outside: float | None = GREY) -> jax.Array:
    """Moves all frames of a clip (T, H, W, C), bilinearly.

    Args:
        matrix: (2, 3), maps a place (x, y, 1) in the new frame to its place (x, y) in the old one. Pixel i reaches from
            i to i + 1.
        outside: the value of pixels from outside of the frame; None for that of the nearest pixel in it.
    """
    _, height, width, _ = clip.shape
    columns, rows = jnp.meshgrid(jnp.arange(width) + 0.5, jnp.arange(height) + 0.5)  # (H, W)
    x, y = jnp.einsum("ij,jhw->ihw", matrix, jnp.stack([columns, rows, jnp.ones_like(rows)]), precision="highest")
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = jnp.floor(x - 0.5), jnp.floor(y - 0.5)
    right_share, bottom_share = (x - 0.5 - left)[..., None], (y - 0.5 - top)[..., None]

    def pixels(row, column):
        row, column = (jnp.clip(i, 0, n - 1).astype(jnp.int32) for i, n in ((row, height), (column, width)))
        return clip[:, row, column]

    above = (1 - right_share) * pixels(top, left) + right_share * pixels(top, left + 1)
    below = (1 - right_share) * pixels(top + 1, left) + right_share * pixels(top + 1, left + 1)
    moved = (1 - bottom_share) * above + bottom_share * below
    return moved if outside is None else jnp.where(inside[..., None], moved, outside)
