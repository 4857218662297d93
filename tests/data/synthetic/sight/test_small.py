"""The class is motion relative to the background."""

import numpy as np

from vidjax.data.synthetic.sight.render import DIALS


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
