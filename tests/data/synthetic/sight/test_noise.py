"""Each frame is independent noise, and the coherence is what it says."""

import numpy as np
import pytest

from vidjax.data.synthetic.sight import noise


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
