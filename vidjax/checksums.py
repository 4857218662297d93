"""Checksums of arrays, to find flipped bits in checkpoints: Orbax stores the data without checksums."""

import math

import jax
import numpy as np
from jax.experimental import multihost_utils


def checksums_of(tree) -> dict[str, int]:
    """The checksum of each array of a tree, by path.

    It is the sum of the array's words, each times an odd number given by its position, modulo 2^32. A flipped bit
    always changes it, because an odd number times a power of two below 2^32 is not a multiple of 2^32. Each process
    sums its own shards, so the result does not depend on the sharding; all processes must call this together.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    sums = np.array([_checksum(x) for _, x in leaves], np.uint32)
    if jax.process_count() > 1:
        sums = multihost_utils.process_allgather(sums).sum(0, dtype=np.uint32)
    names = (jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves)
    return dict(zip(names, sums.tolist(), strict=True))


def _checksum(x: jax.Array) -> int:
    """The checksum of this process's shards of an array; each replicated shard counts in one process only.

    The position of a word is a sum of one term per axis, so sums along the axes suffice.
    """
    strides = [math.prod(x.shape[axis + 1 :]) for axis in range(x.ndim)]
    total = 0
    for shard in x.addressable_shards:
        if shard.replica_id > 0:
            continue
        data = np.ascontiguousarray(shard.data)
        words = data.view(f"uint{8 * data.itemsize}").reshape(shard.data.shape)
        if data.itemsize == 8:
            words = (words >> 32) + (words & 0xFFFFFFFF)
        total += int(words.sum(dtype=np.uint32))
        for axis, (piece, stride) in enumerate(zip(shard.index, strides, strict=True)):
            others = tuple(other for other in range(words.ndim) if other != axis)
            places = (piece.start or 0) + np.arange(words.shape[axis], dtype=np.uint64)
            total += 2 * stride * int((places * words.sum(others, dtype=np.uint32)).sum())
    return total % 2**32
