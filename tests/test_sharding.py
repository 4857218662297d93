import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.conftest import free_port
from vidjax import sharding
from vidjax.bench import memory


@functools.cache
def losses_on(devices, fsdp=1, *, model="frame_pool", dtype="float64", steps=10, processes=1, parts=1):
    """The losses of a training run on simulated devices, in separate processes."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices // processes}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_NUM_PROCESSES": str(processes)}
    environment["JAX_COORDINATOR_ADDRESS"] = f"127.0.0.1:{free_port()}"
    arguments = [sys.executable, "-m", "tests.losses_on_a_mesh", model, dtype, *map(str, (steps, fsdp, 64, parts))]
    settings = {"cwd": Path(__file__).parent.parent, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(arguments, env={**environment, "JAX_PROCESS_ID": str(i)}, **settings) for i in range(processes)
    ]
    try:
        ended = [process.communicate(timeout=1200) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * processes, ended
    result = json.loads(ended[0][0].splitlines()[-1])
    assert result["devices"] == devices
    assert (result["split"] > 0) == (fsdp > 1)
    return np.array(result["losses"])


MODELS = ["frame_pool", pytest.param("i3d", marks=pytest.mark.slow)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("fsdp", "processes"),
    [pytest.param(1, 1, marks=pytest.mark.slow), (4, 1), pytest.param(8, 2, marks=pytest.mark.slow)],
)
def test_eight_devices_of_one_or_two_processes_give_the_losses_of_one(model, fsdp, processes):
    one = losses_on(1, model=model)
    assert one[-1] < one[0]
    np.testing.assert_allclose(losses_on(8, fsdp, model=model, processes=processes), one, rtol=1e-9, atol=0)


@pytest.mark.slow
def test_a_batch_in_parts_is_the_same_on_any_number_of_devices():
    one = losses_on(1, parts=2)
    assert abs(one - losses_on(1)).max() > 1e-6  # BatchNorm normalises other batches
    np.testing.assert_allclose(losses_on(8, 8, parts=2, processes=2), one, rtol=1e-9, atol=0)


STATE_ON_A_DEVICE = """
import math
import jax
from vidjax.analysis import networks
from vidjax.analysis.training_step import training_step
from vidjax.bench import memory
memory.simulate_devices()
for name, size in memory.NETWORKS.items():
    config = networks.find_config(name)
    config.mesh.fsdp = 8
    prepared = training_step(config, 400, networks.find_inputs(config, size, 8, None)[0])
    whole = sum(x.size for x in jax.tree.leaves(prepared.abstract))
    shards = jax.tree.map(lambda x, s: math.prod(s.shard_shape(x.shape)), prepared.abstract, prepared.shardings)
    print(sum(jax.tree.leaves(shards)) / whole)
"""


def test_each_of_eight_devices_holds_at_most_a_seventh_of_the_state():
    command = [sys.executable, "-c", STATE_ON_A_DEVICE]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    shares = [float(line) for line in out.splitlines()]
    assert len(shares) == len(memory.NETWORKS) and all(1 / 8 < share <= 1 / 7 for share in shares)


@pytest.mark.parametrize("model", MODELS)
def test_in_float32_the_first_step_agrees(model):
    one = losses_on(1, model=model, dtype="float32", steps=1)
    np.testing.assert_allclose(losses_on(8, 8, model=model, dtype="float32", steps=1), one, rtol=1e-5)


def test_shardings_are_by_shape():
    mesh = jax.sharding.AbstractMesh((1, 4), ("data", "fsdp"))
    shapes = {"kernel": (3, 8, 64), "odd": (3, 5, 7000), "bias": (64,), "prime": (1009, 1013)}
    state = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    specs = {name: s.spec for name, s in sharding.state_shardings(mesh, state, smallest=1000).items()}
    assert specs["kernel"] == jax.sharding.PartitionSpec(None, None, "fsdp")
    assert specs["odd"] == jax.sharding.PartitionSpec(None, None, "fsdp")
    assert specs["bias"] == jax.sharding.PartitionSpec()  # too small
    assert specs["prime"] == jax.sharding.PartitionSpec()  # 4 divides neither axis


def test_mesh_errors():
    with pytest.raises(ValueError, match="mesh.fsdp = 2 must divide the number of devices, 1"):
        sharding.make_mesh(2)


def test_prefetching_keeps_the_order_and_drops_nothing():
    batches = [{"target": np.full(2, i)} for i in range(5)]
    for size in (0, 2, 9):
        got = [int(batch["target"][0]) for batch in sharding.prefetch(iter(batches), sharding.make_mesh(), size)]
        assert got == [0, 1, 2, 3, 4]


def test_the_carry_of_a_stateful_model_is_split_like_the_batch():
    mesh = sharding.make_mesh()
    state = {"params": {"kernel": jax.ShapeDtypeStruct((8, 4), "float32")}}
    state["carry"] = {"lstm": {"state": (jax.ShapeDtypeStruct((8, 4), "float32"),)}}
    shardings = sharding.state_shardings(mesh, state)
    assert shardings["carry"]["lstm"]["state"][0] == sharding.batch_sharding(mesh)
    assert shardings["params"]["kernel"] == sharding.replicated(mesh)
