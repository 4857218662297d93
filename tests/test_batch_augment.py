import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vidjax import batch_augment

VIDEO = np.random.default_rng(0).integers(0, 256, (4, 3, 12, 16, 3)).astype(np.uint8)  # (B, T, H, W, C)
BATCH = {"video": jnp.asarray(VIDEO), "target": jnp.array([0, 1, 2, 1]), "weight": jnp.ones(4)}
KEY = jax.random.key(0)
ALL = {"affine": 0.5, "rand_augment": (2, 7.0), "erase": 0.25, "mixup": 0.8, "cutmix": 1.0}
augment = jax.jit(lambda batch, key: batch_augment.augment_batch(batch, key, num_classes=3, **ALL))


def test_without_a_setting_the_batch_is_itself():
    assert batch_augment.augment_batch(BATCH, KEY) is BATCH


def test_a_key_gives_the_same_bits_and_another_key_others():
    one, again, other = (augment(BATCH, jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert not np.array_equal(one["video"], other["video"])
    assert one["video"].shape == VIDEO.shape and one["video"].min() >= 0 and one["video"].max() <= 255
    np.testing.assert_allclose(one["target"].sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(one["weight"], 1)


# --- Mixup and CutMix -------------------------------------------------------------------------------------------------


def test_mixup_of_share_one_is_the_identity_and_of_share_zero_the_partner():
    one_hot = np.eye(3)[[0, 1, 2, 1]]
    for share, order in ((1.0, slice(None)), (0.0, slice(None, None, -1))):
        mixed = batch_augment.mix(BATCH["video"], BATCH["target"], jnp.full((12, 16), share), 3)
        np.testing.assert_array_equal(mixed["video"], VIDEO[order])
        np.testing.assert_array_equal(mixed["target"], one_hot[order])


def test_mixup_mixes_multi_hot_targets_too():
    target = jnp.array([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    mixed = batch_augment.mix(BATCH["video"], target, jnp.full((12, 16), 0.75), None)
    np.testing.assert_allclose(mixed["target"], [[1, 0.75], [0, 0.25], [0, 0.75], [1, 0.25]])
    np.testing.assert_allclose(mixed["video"][0], 0.75 * VIDEO[0] + 0.25 * VIDEO[3], rtol=1e-5)


def test_the_share_of_a_label_is_the_share_of_the_pixels():
    draw = jax.jit(lambda key: batch_augment.draw_kept(key, (12, 16), 0.0, 1.0))
    shares = []
    for seed in range(20):
        kept = draw(jax.random.key(seed))
        mixed = batch_augment.mix(BATCH["video"], BATCH["target"], kept, 3)
        is_own = (mixed["video"] == VIDEO).all((1, 4))  # in all frames
        is_partner = (mixed["video"] == VIDEO[::-1]).all((1, 4))
        assert (is_own | is_partner).all()
        np.testing.assert_allclose(mixed["target"][0, 0], kept.mean(), rtol=1e-6)
        assert (is_own[0] >= (kept == 1)).all() and (is_partner[0] >= (kept == 0)).all()
        rows, columns = np.nonzero(np.asarray(kept) == 0)
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else True  # one box
        shares.append(float(kept.mean()))
    assert len(set(shares)) > 10


def test_with_both_half_of_the_batches_are_cut():
    draw = jax.jit(jax.vmap(lambda key: batch_augment.draw_kept(key, (12, 16), 0.8, 1.0)))
    kept = np.asarray(draw(jax.random.split(KEY, 400)))
    is_cut = np.isin(kept, (0, 1)).all((1, 2))
    assert 0.4 < is_cut.mean() < 0.6
    shares = kept[~is_cut]
    assert (shares == shares[:, :1, :1]).all()
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1))
    np.testing.assert_allclose(shares[:, 0, 0].var(), 1 / (4 * 2.6), rtol=0.2)


# --- Random erasing ---------------------------------------------------------------------------------------------------


def test_erasing_replaces_one_box_in_all_frames_and_leaves_the_rest():
    clips = jnp.asarray(np.broadcast_to(VIDEO[:1], (300, *VIDEO.shape[1:])), jnp.float32) + 0.5
    erased = jax.jit(jax.vmap(lambda clip, key: batch_augment.erase_clip(clip, key, 0.25)))(
        clips, jax.random.split(KEY, 300)
    )
    is_erased = np.asarray(erased != clips).any((1, 4))  # (B, H, W)
    assert 0.18 < is_erased.any((1, 2)).mean() < 0.32
    for clip, inside in zip(np.asarray(erased), is_erased, strict=True):
        rows, columns = np.nonzero(inside)
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) <= 0.5 * inside.size
            assert (clip[:, inside] == clip[0, inside]).all()  # nothing flickers


# --- RandAugment ------------------------------------------------------------------------------------------------------


def test_all_frames_of_a_clip_change_alike():
    still = jnp.asarray(np.repeat(VIDEO[:1, :1], 3, axis=1).repeat(32, axis=0), jnp.float32)
    changed = jax.jit(jax.vmap(lambda clip, key: batch_augment.rand_augment_clip(clip, key, 1, 7.0)))(
        still, jax.random.split(KEY, 32)
    )
    np.testing.assert_array_equal(changed, np.repeat(changed[:, :1], 3, axis=1))
    is_changed = np.asarray(changed != still).any((1, 2, 3, 4))
    assert 8 <= is_changed.sum() <= 24  # about one half
    assert len(np.unique(np.asarray(changed).reshape(32, -1), axis=0)) > 8  # each clip has its own draws


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("autocontrast", ImageOps.autocontrast),
        ("invert", ImageOps.invert),
        ("posterize", lambda image: ImageOps.posterize(image, 4 - 2)),
        ("solarize", lambda image: ImageOps.solarize(image, 256 - 128)),
        ("solarize_add", lambda image: image.point(lambda x: min(x + 55, 255) if x < 128 else x)),
        ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(0.55)),
        ("colour", lambda image: ImageEnhance.Color(image).enhance(0.55)),
        ("contrast", lambda image: ImageEnhance.Contrast(image).enhance(0.55)),
        ("sharpness", lambda image: ImageEnhance.Sharpness(image).enhance(0.55)),
    ],
)
def test_colours_are_those_of_pillow(name, expected):
    """Up to two roundings, for a clip of one frame. Level 0.5, and the sign is minus."""
    frame = 20 + VIDEO[0, 0] // 2
    ours = getattr(batch_augment, name)(jnp.asarray(frame[None], jnp.float32), 0.5, -0.5)
    np.testing.assert_allclose(ours[0], np.asarray(expected(Image.fromarray(frame))), atol=1.5)


@pytest.mark.parametrize("name", ["rotation", "shear_x", "shear_y", "translation_x", "translation_y"])
@pytest.mark.parametrize("signed", [-0.7, 0.35])
def test_movements_are_those_of_pillow(name, signed):
    height, width = 24, 32
    columns, rows = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 200, height))
    frame = np.stack([columns, rows, (columns + rows) / 2], axis=-1).astype(np.uint8)
    ours = batch_augment.warp(
        jnp.asarray(frame[None], jnp.float32), getattr(batch_augment, name)(signed, float(height), float(width))
    )
    affine = {
        "shear_x": (1, 0.3 * signed, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.3 * signed, 1, 0),
        "translation_x": (1, 0, 0.45 * signed * width, 0, 1, 0),
        "translation_y": (1, 0, 0, 0, 1, 0.45 * signed * height),
    }
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": (128, 128, 128)}
    image = Image.fromarray(frame)
    if name == "rotation":
        theirs = image.rotate(30 * signed, **options)
    else:
        theirs = image.transform(image.size, Image.Transform.AFFINE, affine[name], **options)
    differing = np.abs(np.asarray(ours[0]) - np.asarray(theirs)).max(-1) > 1.01
    assert differing.mean() < 0.01  # at the edge of the frame, rounding decides
    assert not np.array_equal(theirs, frame)


def test_affine_maps_have_the_parameters_of_the_paper():
    """On frames whose values are the places of their pixels, so that the map can be read off."""
    places = jnp.stack([*jnp.meshgrid(jnp.arange(21.0), jnp.arange(21.0)), jnp.zeros((21, 21))], -1)
    clips = jnp.broadcast_to(places, (300, 2, 21, 21, 3))
    warp = jax.jit(jax.vmap(batch_augment.affine_clip, (0, 0, None)))
    moved = np.asarray(warp(clips, jax.random.split(KEY, 300), 1.0))
    np.testing.assert_array_equal(moved[:, 0], moved[:, 1])  # one map for all frames of a clip
    assert np.abs(moved[:, 0, 10, 10, :2] - 10).max() <= 2 / 105 * 21 + 1e-4  # the centre is only translated
    x, y = (moved[:, 0, 10, 11] - moved[:, 0, 10, 9])[:, :2] / 2, (moved[:, 0, 11, 10] - moved[:, 0, 9, 10])[:, :2] / 2
    area = np.abs(x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0])
    assert 0.64 * 0.91 <= area.min() and area.max() <= 1.44 * 1.09  # scales squared, and 1 - shear_x * shear_y
    assert area.min() < 0.75 and area.max() > 1.25
    np.testing.assert_array_equal(warp(clips[:2], jax.random.split(KEY, 2), 0.0), clips[:2])


def test_affine_maps_continue_the_border():
    paper = np.full((1, 16, 16, 3), 255, np.uint8)
    assert float(batch_augment.affine_clip(jnp.asarray(paper, float), KEY, 1.0).min()) == 255


def test_a_warp_by_nothing_is_the_identity():
    np.testing.assert_array_equal(
        batch_augment.warp(jnp.asarray(VIDEO[0], jnp.float32), jnp.array([[1.0, 0, 0], [0, 1, 0]])), VIDEO[0]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rand_augment": (4,)}, r"augment.rand_augment = \(4,\) must be empty, or a number of operations"),
        ({"rand_augment": (4, 11)}, "magnitude in 0..10"),
        ({"erase": 1.5}, "augment.erase = 1.5 must be a probability"),
        ({"affine": -0.5}, "augment.affine = -0.5 must be a probability"),
        ({"mixup": -1}, "augment.mixup = -1 and augment.cutmix = 0.0 must be 0 or more"),
    ],
)
def test_invalid_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        batch_augment.check(**settings)
