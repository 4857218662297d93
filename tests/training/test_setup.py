import types

import pytest

from vidjax.training.setup import check_batch_sizes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 9}, "batch_size = 9 does not divide over 2 devices[.]"),
        ({"accumulate": 3}, "batch_size = 8 does not divide over 2 devices in accumulate = 3 parts"),
        ({"eval.batch_size": 7}, "eval.batch_size = 7 does not divide over 2 devices"),
    ],
)
def test_batches_that_do_not_divide(change, message, tiny_config):
    two = types.SimpleNamespace(size=2)
    check_batch_sizes(tiny_config, two)
    tiny_config.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
        check_batch_sizes(tiny_config, two)
