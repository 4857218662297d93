import os
import subprocess
import sys

import pytest

from tests.conftest import free_port
from vidjax.training import distributed

BY_HAND = {"JAX_COORDINATOR_ADDRESS": "host:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
STEP = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}
STEP |= {"SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_NODEID": "1"}
OF_STEP = {"num_processes": 2, "process_id": 1}
OF_HAND = {"coordinator_address": "host:1234", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (BY_HAND, OF_HAND | {"cluster_detection_method": "deactivate"}),
        (BY_HAND | {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}, None),
        ({"JAX_COORDINATOR_ADDRESS": "host:1234"}, None),
        (STEP, OF_STEP | {"local_device_ids": []}),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0"}, OF_STEP),
        (STEP | {"CUDA_VISIBLE_DEVICES": "0,1"}, OF_STEP | {"local_device_ids": [0, 1]}),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None),  # variables of the batch script, not of a step
        (STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}),  # jax.distributed detects everything itself
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"VIDJAX_FIND_PEERS": "1"}, {}),
        ({"VIDJAX_FIND_PEERS": "0"}, None),
        (BY_HAND | {"VIDJAX_FIND_PEERS": "1"}, OF_HAND | {"cluster_detection_method": "deactivate"}),
    ],
)
def test_processes_are_read_from_the_environment(environment, expected):
    assert distributed.arguments_from(environment) == expected


@pytest.mark.parametrize(
    ("tasks", "local_id", "visible", "on_node", "expected"),
    [
        (1, 0, "0,1,2,3", 4, [0, 1, 2, 3]),  # one task per node gets all GPUs
        (4, 2, "0,1,2,3", 4, [2]),  # one task per GPU; each sees all
        (4, 2, "2", 4, [0]),  # one task per GPU, with --gpus-per-task=1
        (2, 1, "0,1,2,3", 4, [2, 3]),  # two tasks share four
        (2, 1, "2,3", 4, [0, 1]),  # with --gpus-per-task=2
        (2, 1, "", None, []),  # no GPU
    ],
)
def test_each_task_has_its_own_gpus(tasks, local_id, visible, on_node, expected):
    environment = {"SLURM_STEP_TASKS_PER_NODE": f"{tasks}(x2)", "SLURM_NODEID": "1", "SLURM_LOCALID": str(local_id)}
    environment |= {"CUDA_VISIBLE_DEVICES": visible} | ({"SLURM_GPUS_ON_NODE": str(on_node)} if on_node else {})
    assert distributed.own_gpus(environment) == expected


def test_tasks_are_counted_node_by_node():
    found = [
        distributed.tasks_on_node({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_NODEID": str(i)}) for i in range(4)
    ]
    assert found == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"JAX_PROCESS_ID": "0"}, "JAX_PROCESS_ID without JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"),
        (BY_HAND | {"JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID = 2 of JAX_NUM_PROCESSES = 2: .* count from 0"),
        (BY_HAND | {"JAX_NUM_PROCESSES": "two"}, "both must be numbers"),
        ({"VIDJAX_FIND_PEERS": "yes"}, "VIDJAX_FIND_PEERS = yes must be 1, .* or 0"),
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0", "CUDA_VISIBLE_DEVICES": "0,1,2"}, "3 GPUs"),
    ],
)
def test_variables_that_are_refused(environment, message):
    with pytest.raises(ValueError, match=message):
        distributed.arguments_from(environment)


@pytest.mark.parametrize("process", ["0", "1"])
def test_a_missing_peer_is_reported(process):
    address = f"127.0.0.1:{free_port()}"
    hand = {**BY_HAND, "JAX_COORDINATOR_ADDRESS": address, "JAX_PROCESS_ID": process}
    environment = {**os.environ, **hand, "VIDJAX_WAIT_FOR_PEERS": "1"}
    command = [sys.executable, "-c", "from vidjax.training import distributed; distributed.start()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert f"Process {process} of 2 waited 1 s, but not all processes connected to {address}" in done.stderr


FAILING = """
import sys, time, jax
from vidjax.training import distributed
with distributed.started("vidjax.train"):
    if jax.process_index() == 1:
        raise {error}("no such split")
    time.sleep(100)
"""


@pytest.mark.parametrize(
    ("error", "message"), [("ValueError", "vidjax.train: process 1: no"), ("KeyError", "KeyError: 'no")]
)
def test_one_of_several_processes_fails_with_a_message_at_once(error, message):
    hand = {**os.environ, **BY_HAND, "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}"}
    command = [sys.executable, "-c", FAILING.format(error=error)]
    settings = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    first, second = (subprocess.Popen(command, env=hand | {"JAX_PROCESS_ID": rank}, **settings) for rank in "01")
    try:
        _, printed = second.communicate(timeout=120)  # sys.exit would first wait for the other process
        assert second.returncode == 1 and message in printed
    finally:
        first.kill()
        first.communicate()


def test_one_process_alone_exits_with_the_message():
    with pytest.raises(SystemExit, match="vidjax.train: no such split"), distributed.started("vidjax.train"):
        raise ValueError("no such split")
    with pytest.raises(KeyError), distributed.started("vidjax.train"):
        raise KeyError("a mistake of ours keeps its traceback")


def test_a_waiting_time_that_is_not_a_number(monkeypatch):
    for name, value in BY_HAND.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDJAX_WAIT_FOR_PEERS", "long")
    with pytest.raises(ValueError, match="VIDJAX_WAIT_FOR_PEERS = long must be a number of seconds"):
        distributed.start()


def test_a_missing_tpu_slice():
    command = [sys.executable, "-c", "from vidjax.training import distributed; distributed.start()"]
    environment = {**os.environ, "VIDJAX_FIND_PEERS": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "worker of a TPU slice, but JAX finds none" in done.stderr
