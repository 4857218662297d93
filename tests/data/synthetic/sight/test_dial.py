"""The laws that hold for several dials, by construction."""

import numpy as np
import pytest

from vidjax.data.synthetic.sight.render import DIALS


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
