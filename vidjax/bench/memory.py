"""What a training step takes of the memory of each of 8 devices, and what they send each other, way by way.

Nothing is run: the steps are compiled for 8 simulated devices of a CPU, and the programs are asked.
"""

import os

import jax
from tqdm import tqdm

from vidjax.analysis import step_memory

NUM_DEVICES = 8
CLIPS = 32  # of the global batch
NETWORKS = {"i3d": "64x224x224", "r2plus1d_18": "16x112x112"}  # as they were published, by their inputs
WAYS = {  # settings of the config
    "data-parallel": {},
    "FSDP": {"mesh": {"fsdp": NUM_DEVICES}},
    "remat": {"model": {"remat": True}},
    "accumulate 4": {"accumulate": 4},
    "FSDP, accumulate 4": {"mesh": {"fsdp": NUM_DEVICES}, "accumulate": 4},
}


def simulate_devices():
    """Makes the machine look like 8 devices; to be called before JAX looks for any."""
    os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}"  # nothing is run
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", NUM_DEVICES)


def bench_memory(networks: dict[str, str] = NETWORKS, num_clips: int = CLIPS) -> dict:
    """MiB on each device by network and way, and the collectives: name -> how many and MiB."""
    result = {}
    for name, size in networks.items():
        for way, settings in tqdm(WAYS.items(), name):
            config = networks.find_config(name)
            for key, value in settings.items():
                config.update({key: value})
            inputs, num_classes, _ = networks.find_inputs(config, size, num_clips, None)
            memory = step_memory.step_memory(config, num_classes, inputs)
            sent = {kind: [traffic.count, traffic.bytes / 2**20] for kind, traffic in memory.collectives.items()}
            figures = {"state": memory.state, "temporaries": memory.temporaries, "step": memory.total}
            result[f"{name}, {way}"] = {key: size / 2**20 for key, size in figures.items()} | {"collectives": sent}
    return result


def show(result: dict):
    """Prints a line each."""
    width = max(map(len, result))
    print(f"{'MiB on each device':{width}} {'state':>8} {'temporaries':>12} {'a step':>8}  collectives")
    for name, figures in result.items():
        sent = ", ".join(f"{count} {kind} {size:.0f}" for kind, (count, size) in figures["collectives"].items())
        print(f"{name:{width}} {figures['state']:8.1f} {figures['temporaries']:12.0f} {figures['step']:8.0f}  {sent}")
