"""The device mesh, the shardings of arrays over it, and the transfer of batches to it."""

import collections
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

SMALLEST_SHARDED = 2**14  # elements; splitting smaller parameters costs more in messages than it saves in memory


def make_mesh(fsdp: int = 1) -> Mesh:
    """A mesh ("data", "fsdp") over all devices; parameters are split over `fsdp` devices, the batch over all.

    Raises:
        ValueError: if `fsdp` does not divide the number of devices.
    """
    num_devices = jax.device_count()
    if fsdp < 1 or num_devices % fsdp:
        raise ValueError(f"mesh.fsdp = {fsdp} must divide the number of devices, {num_devices}.")
    return jax.make_mesh((num_devices // fsdp, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the first axis over all devices."""
    return NamedSharding(mesh, P(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Puts a copy on every device."""
    return NamedSharding(mesh, P())


def state_shardings(mesh: Mesh, state, smallest: int = SMALLEST_SHARDED):
    """Shardings of a tree of arrays (or their shapes), by shape alone: fully sharded data parallelism.

    Each array of at least `smallest` elements is split along its largest axis that the mesh's "fsdp" axis divides
    (Rajbhandari et al., 2020, ZeRO stage 3); the others are replicated. The collection `carry` of stateful models has
    one row per row of the batch, and is split like the batch.
    """
    fsdp = mesh.shape["fsdp"]

    def sharding(path, array) -> NamedSharding:
        if any(getattr(key, "key", None) == "carry" for key in path) and len(array) % mesh.size == 0:
            return batch_sharding(mesh)
        axes = [axis for axis, length in enumerate(array.shape) if length % fsdp == 0]
        if fsdp == 1 or not axes or np.prod(array.shape) < smallest:
            return replicated(mesh)
        largest = max(axes, key=lambda axis: array.shape[axis])
        return NamedSharding(mesh, P(*(None,) * largest, "fsdp"))

    return jax.tree_util.tree_map_with_path(sharding, state)


def with_shardings(abstract, shardings):
    """Adds shardings to a tree of `jax.ShapeDtypeStruct`s, as `Checkpoints.restore` expects."""
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings)


def shardings_of(state):
    """The sharding of each array of a tree."""
    return jax.tree.map(lambda x: x.sharding, state)


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Assembles the global batch from the rows of each process; returns before the copy is done.

    Raises:
        ValueError: if the batch does not divide over the devices.
    """
    num_rows = len(batch["target"]) * jax.process_count()
    if num_rows % mesh.size:
        raise ValueError(f"batch_size = {num_rows} does not divide over {mesh.size} devices.")
    sharding = batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}


def prefetch(batches: Iterator[dict[str, np.ndarray]], mesh: Mesh, size: int = 2) -> Iterator[dict[str, jax.Array]]:
    """Copies batches to the mesh `size` batches ahead of their use, so that copies overlap the computation."""
    ahead = collections.deque()
    for batch in batches:
        ahead.append(put_batch(batch, mesh))
        if len(ahead) > size:
            yield ahead.popleft()
    yield from ahead
