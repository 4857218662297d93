"""Connects several processes that train one model.

SLURM and Kubernetes (for pods with TPUs) set the variables that describe a run. By hand, set three variables in each
process:

    JAX_COORDINATOR_ADDRESS=host:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 python -m vidjax.train ...

Cloud TPU VMs set no variables: with VIDJAX_FIND_PEERS=1 JAX queries the machine (launch/tpu_vm.sh sets it).
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Mapping

import jax

WAIT = 300  # seconds that a process waits for the others; VIDJAX_WAIT_FOR_PEERS changes it
HEARTBEAT = 30  # seconds of silence after which a process counts as dead
BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def start():
    """Connects the processes of a run; does nothing for a single process. Call it before JAX initialises its devices.

    If not all processes connect in time, it prints an error and ends this process with status 1.

    Raises:
        ValueError: if the variables are incomplete, or describe a TPU slice that does not exist.
    """
    arguments = arguments_from(os.environ)
    if arguments is None:
        return
    wait = os.environ.get("VIDJAX_WAIT_FOR_PEERS", str(WAIT))
    if not wait.isdecimal():
        raise ValueError(f"VIDJAX_WAIT_FOR_PEERS = {wait} must be a number of seconds.")
    wait = int(wait)
    # On a timeout jax.distributed ends the process without saying which address it waited for
    alarm = threading.Timer(wait, _give_up, (arguments, wait))
    alarm.daemon = True
    alarm.start()
    timeouts = {"initialization_timeout": wait + 60, "heartbeat_timeout_seconds": HEARTBEAT}
    try:
        jax.distributed.initialize(**arguments, **timeouts, shutdown_timeout_seconds=60)
    except ValueError as error:
        if arguments:
            raise
        raise ValueError(f"The environment describes a worker of a TPU slice, but JAX finds none: {error}") from error
    finally:
        alarm.cancel()


@contextlib.contextmanager
def started(command: str):
    """Calls `start`; an error in the context becomes a message and exit status 1.

    If one of several processes fails, it ends at once, because the others would wait for it.

    Args:
        command: name of the command for the message, such as "vidjax.train".
    """
    try:
        start()
        yield
    except Exception as error:
        expected = isinstance(error, (ValueError, FloatingPointError, OSError))
        if not jax.distributed.is_initialized():
            if expected:
                sys.exit(f"{command}: {error}")
            raise
        if expected:
            print(f"{command}: process {jax.process_index()}: {error}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)  # sys.exit would wait for the other processes


def _give_up(arguments: dict, wait: int):
    where = arguments.get("coordinator_address") or "the first host of the job"
    number = f" {arguments['process_id']} of {arguments['num_processes']}" if "process_id" in arguments else ""
    print(
        f"vidjax: Process{number} waited {wait} s, but not all processes connected to {where}. Check their logs, and "
        "that every host can reach this address. VIDJAX_WAIT_FOR_PEERS=600 waits longer.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)  # the main thread is blocked inside JAX


def arguments_from(environment: Mapping[str, str]) -> dict | None:
    """Returns the arguments of `jax.distributed.initialize` from environment variables; None for a single process.

    Raises:
        ValueError: if variables are missing or are not numbers.
    """
    given = [name for name in BY_HAND if name in environment]
    if "JAX_NUM_PROCESSES" in given or "JAX_PROCESS_ID" in given:
        if missing := [name for name in BY_HAND if name not in given]:
            raise ValueError(f"{', '.join(given)} without {', '.join(missing)}: several processes need all three.")
        address, count, index = (environment[name] for name in BY_HAND)
        if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
            raise ValueError(
                f"JAX_PROCESS_ID = {index} of JAX_NUM_PROCESSES = {count}: both must be numbers, and processes count "
                "from 0."
            )
        if int(count) == 1:
            return None
        found = {"coordinator_address": address, "num_processes": int(count), "process_id": int(index)}
        return found | {"cluster_detection_method": "deactivate"}  # also inside a scheduler's job
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        count, index = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
        found = {"num_processes": count, "process_id": index}
        gpus = own_gpus(environment)
        # An empty list means all devices; without a list JAX takes the GPU with the task's number on its node
        return found | {"local_device_ids": gpus} if gpus or tasks_on_node(environment) == 1 else found
    if "," in environment.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in environment:
        return {}
    if (find := environment.get("VIDJAX_FIND_PEERS", "0")) not in ("0", "1"):
        raise ValueError(f"VIDJAX_FIND_PEERS = {find} must be 1, for the workers of a TPU slice, or 0.")
    if find == "1":
        return {}
    return None


def own_gpus(environment: Mapping[str, str]) -> list[int]:
    """Returns the GPUs of a SLURM task, as indices into CUDA_VISIBLE_DEVICES.

    All visible GPUs if it is the only task of its node, or if SLURM shows each task its own (--gpus-per-task); else an
    equal share of the node's GPUs. (`jax.distributed` by default takes the one GPU with the task's number.)

    Raises:
        ValueError: if the GPUs of a node do not divide over its tasks.
    """
    visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    on_node = int(environment.get("SLURM_GPUS_ON_NODE") or len(visible))
    tasks, index = tasks_on_node(environment), int(environment["SLURM_LOCALID"])
    if tasks == 1 or len(visible) < on_node:
        return list(range(len(visible)))
    if len(visible) % tasks:
        raise ValueError(f"{len(visible)} GPUs of a node do not divide over its {tasks} tasks: change either number.")
    share = len(visible) // tasks
    return list(range(index * share, (index + 1) * share))


def tasks_on_node(environment: Mapping[str, str]) -> int:
    """Number of the step's tasks on this node: 1 for SLURM_STEP_TASKS_PER_NODE = 2(x3),1 and SLURM_NODEID = 3."""
    counts = []
    for part in environment["SLURM_STEP_TASKS_PER_NODE"].split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts[int(environment["SLURM_NODEID"])]
