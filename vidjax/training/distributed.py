"""Several processes that train as one: who they are, and how they come together.

SLURM says it, or Kubernetes to pods that have TPUs, or three variables by hand, in each process:

    JAX_COORDINATOR_ADDRESS=host:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 python -m vidjax.train ...

On Cloud TPU VMs no variable does; VIDJAX_FIND_PEERS=1 lets JAX ask the machine (launch/tpu_vm.sh sets it).
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Mapping

import jax

WAIT = 300  # seconds that a process waits for the others; VIDJAX_WAIT_FOR_PEERS is another number
HEARTBEAT = 30  # seconds of silence after which a process counts as dead
BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def start():
    """Brings the processes of a run together. To be called before JAX looks for devices; does nothing for one process.

    Raises:
        ValueError: for variables that do not say who there is, or speak of a TPU slice where there is none.

    Where not all processes come in time it says so, and ends this one with status 1.
    """
    arguments = arguments_from(os.environ)
    if arguments is None:
        return
    wait = os.environ.get("VIDJAX_WAIT_FOR_PEERS", str(WAIT))
    if not wait.isdecimal():
        raise ValueError(f"VIDJAX_WAIT_FOR_PEERS = {wait} must be a number of seconds.")
    wait = int(wait)
    # jax.distributed would end the process from within, without a word of whom it waited for
    alarm = threading.Timer(wait, _give_up, (arguments, wait))
    alarm.daemon = True
    alarm.start()
    timeouts = {"initialization_timeout": wait + 60, "heartbeat_timeout_seconds": HEARTBEAT}
    try:
        jax.distributed.initialize(**arguments, **timeouts, shutdown_timeout_seconds=60)
    except ValueError as error:
        if arguments:
            raise
        raise ValueError(f"Variables say that this is a worker of a TPU slice, and JAX finds none: {error}") from error
    finally:
        alarm.cancel()


@contextlib.contextmanager
def started(command: str):
    """`start`, and what a command does where something is wrong: says so, and exits with status 1.

    One of several processes that fails ends at once, as the others can do nothing but wait for it.

    Args:
        command: as in "vidjax.train", to begin the message with.
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
        os._exit(1)  # sys.exit would say goodbye to the others, and wait for them to answer


def _give_up(arguments: dict, wait: int):
    where = arguments.get("coordinator_address") or "the first host of the job"
    who = f"Process {arguments['process_id']} of {arguments['num_processes']}" if "process_id" in arguments else "This"
    print(
        f"vidjax: {who} waited {wait} s for the others to come to {where}, and not all did. Look into their logs; is "
        "the address reached from every host? VIDJAX_WAIT_FOR_PEERS=600 waits longer.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)  # the main thread is inside of JAX


def arguments_from(environment: Mapping[str, str]) -> dict | None:
    """The arguments of `jax.distributed.initialize` that variables say, or None where there is one process.

    Raises:
        ValueError: where variables are missing or are no numbers.
    """
    given = [name for name in BY_HAND if name in environment]
    if "JAX_NUM_PROCESSES" in given or "JAX_PROCESS_ID" in given:
        if missing := [name for name in BY_HAND if name not in given]:
            raise ValueError(f"{', '.join(given)} without {', '.join(missing)}: several processes need all three.")
        address, count, index = (environment[name] for name in BY_HAND)
        if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
            raise ValueError(
                f"JAX_PROCESS_ID = {index} of JAX_NUM_PROCESSES = {count}: numbers are needed, and processes count "
                "from 0."
            )
        if int(count) == 1:
            return None
        found = {"coordinator_address": address, "num_processes": int(count), "process_id": int(index)}
        return found | {"cluster_detection_method": "deactivate"}  # also within a job of a scheduler
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        count, index = int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"])
        found = {"num_processes": count, "process_id": index}
        gpus = own_gpus(environment)
        # An empty list is all that JAX sees; without one it takes the GPU whose number is that of the task on its node
        return found | {"local_device_ids": gpus} if gpus or tasks_on_node(environment) == 1 else found
    if "," in environment.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in environment:
        return {}
    if (find := environment.get("VIDJAX_FIND_PEERS", "0")) not in ("0", "1"):
        raise ValueError(f"VIDJAX_FIND_PEERS = {find} must be 1, for the workers of a TPU slice, or 0.")
    if find == "1":
        return {}
    return None


def own_gpus(environment: Mapping[str, str]) -> list[int]:
    """Which of the GPUs that a task of SLURM sees are its own, as indices of CUDA_VISIBLE_DEVICES.

    All where it is the only task of its node, or where SLURM shows each task its own (--gpus-per-task); else the GPUs
    of the node are shared out evenly. (`jax.distributed` by itself takes the one whose number is that of the task.)

    Raises:
        ValueError: where the GPUs of a node do not divide over its tasks.
    """
    visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    on_node = int(environment.get("SLURM_GPUS_ON_NODE") or len(visible))
    tasks, index = tasks_on_node(environment), int(environment["SLURM_LOCALID"])
    if tasks == 1 or len(visible) < on_node:
        return list(range(len(visible)))
    if len(visible) % tasks:
        raise ValueError(f"{len(visible)} GPUs of a node do not divide over its {tasks} tasks.")
    share = len(visible) // tasks
    return list(range(index * share, (index + 1) * share))


def tasks_on_node(environment: Mapping[str, str]) -> int:
    """How many tasks of the step run on this node: of SLURM_STEP_TASKS_PER_NODE = 2(x3),1 and node 3, the one."""
    counts = []
    for part in environment["SLURM_STEP_TASKS_PER_NODE"].split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts[int(environment["SLURM_NODEID"])]
