"""Textures move at the speed of the level."""

import numpy as np

from vidjax.data.synthetic.sight.render import DIALS


def test_speeds_and_directions():
    """The phase correlation of successive frames peaks at the speed."""
    names = DIALS["speed"].classes
    for label, (down, right) in {names.index("right"): (0, 4), names.index("up"): (-4, 0)}.items():
        frames = DIALS["speed"].clip(label, 4, 2)[..., 0].astype(float)
        first, second = (frames[i, 6:26, 6:26] - frames[i, 6:26, 6:26].mean() for i in (3, 4))
        moved = np.roll(frames[3], (down, right), axis=(0, 1))[6:26, 6:26]
        assert np.corrcoef(moved.ravel(), frames[4, 6:26, 6:26].ravel())[0, 1] > 0.99
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.4
