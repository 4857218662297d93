"""Memory and communication of a training step on 8 devices, for several ways to save memory.

The steps are compiled for 8 simulated CPU devices and analysed, but not run.
"""

import os

import jax
from tqdm import tqdm

from vidjax.analysis import step_memory
from vidjax.analysis.networks import find_config, find_inputs

NUM_DEVICES = 8
CLIPS = 32  # in the global batch
NETWORKS = {"i3d": "64x224x224", "r2plus1d_18": "16x112x112", "videomae_b": "16x224x224"}  # as published
WAYS = {  # changes of the config
    "data-parallel": {},
    "FSDP": {"mesh": {"fsdp": NUM_DEVICES}},
    "remat": {"model": {"remat": True}},
    "accumulate 4": {"accumulate": 4},
    "FSDP, accumulate 4": {"mesh": {"fsdp": NUM_DEVICES}, "accumulate": 4},
}


def simulate_devices():
    """Simulates 8 CPU devices. Call it before JAX initialises its devices."""
    os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}"  # nothing is run
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", NUM_DEVICES)


def bench_memory(networks: dict[str, str] = NETWORKS, num_clips: int = CLIPS) -> dict:
    """Returns MiB per device by network and way, and its collectives: name -> [count, MiB]."""
    result = {}
    for name, size in networks.items():
        for way, settings in tqdm(WAYS.items(), name):
            config = find_config(name)
            for key, value in settings.items():
                config.update({key: value})
            inputs, num_classes, _ = find_inputs(config, size, num_clips, None)
            memory = step_memory.step_memory(config, num_classes, inputs)
            sent = {kind: [traffic.count, traffic.bytes / 2**20] for kind, traffic in memory.collectives.items()}
            sizes = {"state": memory.state, "temporaries": memory.temporaries, "step": memory.total}
            result[f"{name}, {way}"] = {key: x / 2**20 for key, x in sizes.items()} | {"collectives": sent}
    return result


def show(result: dict):
    """Prints a table with a line per network and way."""
    width = max(map(len, result))
    print(f"{'MiB per device':{width}} {'state':>8} {'temporaries':>12} {'step':>8}  collectives")
    for name, sizes in result.items():
        sent = ", ".join(f"{count} {kind} {size:.0f}" for kind, (count, size) in sizes["collectives"].items())
        print(f"{name:{width}} {sizes['state']:8.1f} {sizes['temporaries']:12.0f} {sizes['step']:8.0f}  {sent}")
