import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.checksums import checksums_of


def test_by_hand():
    # 1 * 5 + 3 * 7 + 5 * 2 + 7 * 1
    assert checksums_of({"a": {"b": jnp.array([[5, 7], [2, 1]])}}) == {"a/b": 5 + 21 + 10 + 7}
    assert checksums_of([jnp.uint32(9)]) == {"0": 9}
    assert checksums_of({"a": jnp.float32(1)}) == {"a": 0x3F800000}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8"])
def test_every_flipped_bit_changes_it(dtype):
    values = jnp.asarray(np.random.default_rng(0).integers(0, 200, (2, 3, 4)), dtype)
    before = checksums_of({"x": values})["x"]
    raw = np.frombuffer(np.asarray(values).tobytes(), np.uint8)
    found = set()
    for bit in range(8 * raw.size):
        flipped = raw.copy()
        flipped[bit // 8] ^= 1 << bit % 8
        found.add(checksums_of({"x": jnp.asarray(flipped.view(values.dtype).reshape(2, 3, 4))})["x"])
    assert before not in found


def test_double_precision():
    with jax.enable_x64(True):
        values = jnp.array([1.0, 2.0])
        changed = values.at[1].set(np.nextafter(2.0, 3.0))
        assert checksums_of([values]) != checksums_of([changed])


def test_the_order_of_values_counts():
    assert checksums_of([jnp.array([1.0, 2.0])]) != checksums_of([jnp.array([2.0, 1.0])])
