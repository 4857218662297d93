"""Trains for some steps on a mesh and prints the losses as JSON; run by test_sharding in a process of its own.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.losses_on_a_mesh MODEL DTYPE STEPS FSDP SMALLEST
"""

import functools
import json
import sys

import jax
import numpy as np

from vidjax import losses, models, optimizer, sharding, step
from vidjax.training import distributed

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
MODELS = {
    "frame_pool": {"backbone": {"name": "resnet18", "width": 1 / 16}, "dropout": 0.2},
    "i3d": {"width": 0.125, "dropout": 0.2},
}


def main(name, dtype, num_steps, fsdp, smallest, num_parts):
    distributed.start()
    jax.config.update("jax_enable_x64", dtype == "float64")
    mesh = sharding.make_mesh(fsdp)
    model = models.make_model(name, 8, dtype=dtype, **MODELS[name])
    schedule = optimizer.make_schedule(learning_rate=0.01, total_steps=100)
    tx = optimizer.make_optimizer("sgd", schedule, weight_decay=1e-4, clip_norm=1.0)
    kept = {"model": model, "spec": SPEC, "tx": tx, "ema_decay": 0.9}
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (16, 4, 32, 32, 3), dtype=np.uint8)
    batch = {"video": video, "target": rng.integers(8, size=16), "weight": np.ones(16)}
    own = slice(jax.process_index() * 16 // jax.process_count(), (jax.process_index() + 1) * 16 // jax.process_count())
    batch = {name: rows[own] for name, rows in batch.items()}

    make_state = functools.partial(step.init_state, 0, {"video": video}, **kept)
    shardings = sharding.state_shardings(mesh, jax.eval_shape(make_state), smallest)
    num_split = sum(not s.is_fully_replicated for s in jax.tree.leaves(shardings.params))
    state = jax.jit(make_state, compiler_options={"xla_backend_optimization_level": 0})()
    state = jax.device_put(state, shardings)  # drawn alike on any mesh, then spread
    train_step = jax.jit(
        functools.partial(step.train_step, loss_fn=losses.softmax_cross_entropy, num_parts=num_parts, **kept),
        in_shardings=(shardings, sharding.batch_sharding(mesh)),
        out_shardings=(shardings, sharding.replicated(mesh)),
        donate_argnums=0,
    )
    values = []
    for _ in range(num_steps):
        state, measured = train_step(state, sharding.put_batch(batch, mesh))
        values.append(float(measured["loss"]))
    if jax.process_index() == 0:
        print(json.dumps({"devices": mesh.size, "split": num_split, "losses": values}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
