"""The laws of the datasets with a dial, which hold by construction."""

import jax
import numpy as np
import pytest

from vidjax.data.synthetic.sight import gap, noise
from vidjax.data.synthetic.sight.render import DIALS
from vidjax.models.tcn import FrameTCN


def sorted_frames(clip):
    return sorted(frame.tobytes() for frame in clip)


@pytest.mark.parametrize("name", DIALS)
def test_clips_are_pure_functions_with_sorted_classes(name):
    dial = DIALS[name]
    assert list(dial.classes) == sorted(set(dial.classes))
    clip = dial.clip(1, dial.levels[1], 5)
    assert clip.dtype == np.uint8 and clip.ndim == 4 and clip.shape[3] == 3
    np.testing.assert_array_equal(clip, dial.clip(1, dial.levels[1], 5))
    assert (clip != dial.clip(1, dial.levels[1], 6)).any()
    for level in dial.levels:
        assert dial.clip(0, level, 2).shape == clip.shape


@pytest.mark.parametrize("name", ["gap", "count", "order"])
def test_all_classes_have_the_same_frames(name):
    """So frames without their order say exactly nothing."""
    dial = DIALS[name]
    for level in dial.levels:
        first, *others = (sorted_frames(dial.clip(label, level, 3)) for label in range(len(dial.classes)))
        assert all(frames == first for frames in others)


@pytest.mark.parametrize("name", ["direction", "speed", "small"])
def test_opposite_directions_are_each_others_reverse(name):
    dial = DIALS[name]
    for label, opposite in enumerate(dial.time_reversal):
        for level in dial.levels[::3]:
            reverse = dial.clip(opposite, level, 4)[::-1]
            np.testing.assert_array_equal(dial.clip(label, level, 4), reverse)


@pytest.mark.parametrize("render", [noise.direction, noise.form])
def test_each_frame_is_independent_noise(render):
    """No pixel of a frame tells another one, in any class: correlations within frames are as of drawn bits."""
    for label in range(6):
        frames = np.concatenate([render(label, 100, seed)[:, :, :, 0] > 127 for seed in range(6)])
        bits = 2.0 * frames - 1
        spectrum = np.abs(np.fft.fft2(bits)) ** 2
        correlation = np.fft.ifft2(spectrum).real / bits[0].size  # (frames, lags, lags)
        correlation[:, 0, 0] = bits.mean(axis=(1, 2))
        # frames of a clip share pixels, so the six last frames are what is independent
        last = correlation[render(0, 100, 0).shape[0] - 1 :: render(0, 100, 0).shape[0]]
        assert np.abs(last).max() < 6 / np.sqrt(bits[0].size)
        assert np.abs(last.mean(axis=0)).max() < 5.5 / np.sqrt(6 * bits[0].size)


def test_the_pixels_of_a_frame_take_different_earlier_pixels():
    """A form at full coherence: numbered pixels stay distinct, so independent pixels stay independent."""

    class Numbers:
        """Draws a new number wherever the noise draws a bit; every pixel takes its neighbour's value."""

        def __init__(self):
            self.drawn = 0

        def integers(self, _, size):
            self.drawn += np.prod(size)
            return np.arange(self.drawn - np.prod(size), self.drawn).reshape(size)

        def random(self, size):
            return np.zeros(size)

    for name in noise.SHAPES:
        region = noise.shape(name, 24, 11.3, 12.1, 7)
        frames = noise.moving_values(Numbers(), region, (1, -1), 100, 6)
        assert all(len(np.unique(frame)) == frame.size for frame in frames)
        taken = np.isin(frames[1], frames[0])
        assert 0.7 < taken.mean() < 1  # those at the outline are new
        row, column = np.argwhere(region & taken)[0]
        assert frames[1][row, column] == frames[0][row + 1, column - 1]


def test_the_coherence_is_the_share_of_pixels_that_follow():
    for coherence in (100, 35, 5):
        frames = noise.direction(4, coherence, 3)[..., 0]  # to the right
        same = (frames[1:, :, 1:] == frames[:-1, :, :-1]).mean()
        assert abs(same - (1 + coherence / 100) / 2) < 0.02


def test_speeds_and_directions():
    """The phase correlation of successive frames peaks at the speed."""
    names = DIALS["speed"].classes
    for label, (down, right) in {names.index("right"): (0, 4), names.index("up"): (-4, 0)}.items():
        frames = DIALS["speed"].clip(label, 4, 2)[..., 0].astype(float)
        first, second = (frames[i, 6:26, 6:26] - frames[i, 6:26, 6:26].mean() for i in (3, 4))
        moved = np.roll(frames[3], (down, right), axis=(0, 1))[6:26, 6:26]
        assert np.corrcoef(moved.ravel(), frames[4, 6:26, 6:26].ravel())[0, 1] > 0.99
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.4


def test_the_target_moves_relative_to_the_background():
    dial = DIALS["small"]
    label, moves = dial.classes.index("down_right"), []
    for seed in range(4):
        frames = dial.clip(label, 10, seed)[..., 0].astype(int)
        steps = [(dr, dc) for dr in range(-2, 3) for dc in range(-2, 3)]
        costs = [np.median(np.abs(np.roll(frames[0], step, axis=(0, 1)) - frames[1])) for step in steps]
        moves.append(steps[int(np.argmin(costs))])
        assert (max(map(abs, moves[-1]))) == 1  # the camera
    assert len(set(moves)) > 1


def test_flashes_are_counted():
    dial = DIALS["count"]
    for label in range(6):
        for shortest in dial.levels:
            lit = dial.clip(label, shortest, 9 + label)[:, :, :, 2].mean(axis=(1, 2)) < 80
            starts, ends = np.flatnonzero(np.diff(lit.astype(int)) == 1), np.flatnonzero(np.diff(lit.astype(int)) == -1)
            assert len(starts) == len(ends) == label + 1
            assert (ends - starts).min() >= shortest
            assert label == 0 or (starts[1:] - ends[:-1]).min() >= shortest


# ------------------------------------------------------------------------------------------------ gaps and their law


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
