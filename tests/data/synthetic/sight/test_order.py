"""The class is the order of four flashes."""

import pytest

from vidjax.data.synthetic.sight import flashes, order


@pytest.mark.parametrize("length", order.LENGTHS)
@pytest.mark.parametrize("label", [0, 9, 23])
def test_flashes_come_in_the_order_of_the_class(label, length):
    means = order.clip(label, length, 5).mean(axis=(1, 2))  # (frames, 3)
    seen = [min(flashes.COLOURS, key=lambda name: abs(x - flashes.COLOURS[name]).max()) for x in means if x.std() > 20]
    assert seen == [name for name in order.ORDERS[label] for _ in range(length)]


def test_the_reverse_of_a_class_is_the_reversed_order():
    for label, reverse in enumerate(order.ORDER.time_reversal):
        assert order.ORDERS[reverse] == order.ORDERS[label][::-1]
