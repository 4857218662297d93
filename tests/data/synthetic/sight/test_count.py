"""The class is the number of flashes."""

import numpy as np

from vidjax.data.synthetic.sight.render import DIALS


def test_flashes_are_counted():
    dial = DIALS["count"]
    for label in range(6):
        for shortest in dial.levels:
            lit = dial.clip(label, shortest, 9 + label)[:, :, :, 2].mean(axis=(1, 2)) < 80
            starts, ends = np.flatnonzero(np.diff(lit.astype(int)) == 1), np.flatnonzero(np.diff(lit.astype(int)) == -1)
            assert len(starts) == len(ends) == label + 1
            assert (ends - starts).min() >= shortest
            assert label == 0 or (starts[1:] - ends[:-1]).min() >= shortest
