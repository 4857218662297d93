"""Gaps, and the law of receptive fields."""

import jax
import numpy as np
import pytest

from vidjax.data.synthetic.sight import gap
from vidjax.models.tcn import FrameTCN


def flashes_in(clip):
    """The frames at which flashes begin, and their colours as the strongest channel."""
    mean = clip.mean(axis=(1, 2))
    lit = np.flatnonzero(np.ptp(mean, axis=1) > 60)[:: gap.LENGTH]
    return lit, mean[lit].argmax(axis=1)


@pytest.mark.parametrize("level", gap.GAPS)
def test_gaps_are_at_least_the_level_with_a_lead_before(level):
    seen = {0: set(), 1: set()}
    for seed in range(12):
        for label in (0, 1):
            starts, colours = flashes_in(gap.clip(label, level, seed))
            pauses = np.diff(starts) - gap.LENGTH
            assert len(starts) == 3 and starts[0] >= gap.LEAD
            assert (pauses >= level).all() and (pauses <= level + 2 * min(level, 7)).all()
            assert ((colours[1] - colours[0]) % 3 == 2) == (label == 0)  # blue 2, green 1, red 0
            seen[label].add((colours[0], colours[2]))
    assert all(len({pair[i] for pair in seen[label]}) == 3 for label in (0, 1) for i in (0, 1))


@pytest.fixture(scope="module")
def features():
    """Of each frame of clips with a gap of 8 frames or more: whether it is blue, green, red or empty, (3, T, 4).

    A clip, which ends one frame after its last flash; one of the other class, in which its first two flashes have
    changed places; and one with another last flash.
    """
    starts, colours = flashes_in(gap.clip(0, 8, 3))
    found = np.zeros((3, starts[2] + gap.LENGTH + 1, 4), np.float32)
    for clip, order in zip(found, (colours, colours[[1, 0, 2]], colours[[2, 1, 0]]), strict=True):
        clip[:, 3] = 1
        for start, colour in zip(starts, order, strict=True):
            clip[start : start + gap.LENGTH] = np.eye(4)[colour]
    return found


def logits_of(features, **settings):
    network = FrameTCN(2, channels=(16,), kernel_size=3, **settings)
    variables = network.init(jax.random.key(0), features=features)
    return network.receptive_field, np.asarray(network.apply(variables, features=features)[0])


def test_events_beyond_the_receptive_field_are_invisible_to_the_bit(features):
    """A causal network that answers after the last frame: both orders of what it does not see are the same to it."""
    field, logits = logits_of(features)
    assert field <= 8
    np.testing.assert_array_equal(logits[0], logits[1])
    assert (logits[0] != logits[2]).any()


def test_a_mean_over_time_does_not_reveal_the_order_beyond_the_receptive_field(features):
    """Frames in both directions, and a mean over them: equal but for the order of a sum. Nearer flashes differ."""
    field, logits = logits_of(features, causal=False)
    assert field <= 8
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)
    without_gaps = np.stack([np.concatenate([x[:32], x[32:][x[32:, 3] == 0], x[:8]]) for x in features])
    _, logits = logits_of(without_gaps, causal=False)
    assert np.abs(logits[0] - logits[1]).max() > 1e-4
