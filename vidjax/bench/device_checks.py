"""Checks that a device computes what the CPU computes: networks, optical flow, exported programs, repeated training.

The CPU's results are from JAX's own operations, without the CPU's implementations of `models.backend`.
"""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from vidjax import flow, losses, optimizer, step
from vidjax.models import MODELS, PARTS, arguments_of, inputs_of, make_model, needs_flow, sees_both
from vidjax.models.backend import traced_for

LIMITS = {"forward": 1e-4, "gradient": 1e-3, "bfloat16": 5e-2, "flow": 1e-3}  # as a share of the largest value
WIDTH, NUM_CLASSES, FRAMES, SIZE = 0.125, 5, 16, 64
SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
INNER = {
    "backbone": {"name": "resnet18", "width": WIDTH},
    "network": {"name": "r3d_18", "width": WIDTH},
    "spatial": {"name": "frame_pool", "backbone": {"name": "resnet18", "width": WIDTH}},
    "temporal": {"name": "stacked_flow", "num_fields": 4, "backbone": {"name": "resnet18", "width": WIDTH}},
    "stream": {"name": "stacked_flow", "num_fields": 4, "backbone": {"name": "resnet18", "width": WIDTH}},
}
SPECIAL = {"two_stream_3d": {"layer": "layer4"}, "stacked_flow": {"num_fields": 4}, "conv_lstm": {"patch_size": 4}}
SPECIAL |= {"flow_stream": {"network": {"name": "flownet_s", "width": WIDTH}}}
SPECIAL |= dict.fromkeys(("raft_large", "raft_small"), {"iterations": 2})  # rounding grows with each
SPECIAL |= {f"x3d_{size}": {"width_factor": 0.5, "depth_factor": 1.0} for size in ("xs", "s", "m")}
SPECIAL |= {"x3d_l": {"width_factor": 0.5}}
SIZES = {
    "siamese": 65,
    "videoprism_b": 72,
    "videoprism_l": 72,
    "videoprism_lvt_b": 72,
    "clip_l14": 70,
}  # of frames that a network takes, if not `SIZE`
DETERMINISTIC = {"xla_gpu_deterministic_ops": True}


def network_of(name: str, dtype: str = "float32"):
    """Returns a network of `MODELS` at an eighth of its width; of a transformer, two blocks."""
    arguments = {part: INNER[part] for part in PARTS.get(name, {})} | SPECIAL.get(name, {})
    if "width" in arguments_of(name):
        arguments["width"] = WIDTH
    if {"depth", "num_heads"} <= {*arguments_of(name)}:  # a transformer
        arguments |= {"depth": 2}
    return make_model(name, NUM_CLASSES, dtype=dtype, **arguments)


def inputs_for(name: str, batch_size: int = 2, frames: int = FRAMES, size: int = SIZE) -> dict[str, np.ndarray]:
    """Returns random inputs of a network, float32 in -1..1 (`tokens`: int32)."""
    rng = np.random.default_rng(0)
    size = max(size, SIZES.get(name, 0))
    shapes = {"video": (batch_size, frames, size, size, 2 if needs_flow(name) and not sees_both(name) else 3)}
    if sees_both(name):
        shapes["flow"] = (batch_size, frames - 1, size, size, 2)
    if "video" not in inputs_of(name):
        shapes = {"features": (batch_size, frames, 1)}
    inputs = {key: rng.uniform(-1, 1, shape).astype(np.float32) for key, shape in shapes.items()}
    if "tokens" in inputs_of(name):
        inputs["tokens"] = rng.integers(0, NUM_CLASSES, (batch_size, 4)).astype(np.int32)
    return inputs


def variables_for(model, inputs: dict) -> dict:
    """Returns initial variables with random changes, so that no bias, statistic or scale keeps its default."""
    rng = np.random.default_rng(1)
    variables = jax.jit(lambda: model.init({"params": jax.random.key(0)}, **inputs))()
    variables.pop("losses", None)
    changed = lambda x: np.asarray(x) + 0.1 * np.abs(rng.normal(size=x.shape)) * (x.ndim == 1)  # noqa: E731
    return jax.tree.map(lambda x: changed(x).astype(np.float32), variables)


def share(found, expected) -> float:
    """Returns the largest difference between two trees of arrays, as a share of the largest expected value."""
    pairs = list(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True))
    difference = max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max() for a, b in pairs)
    return float(difference / max(np.abs(np.asarray(b)).max() for _, b in pairs))


def on_cpu(function: Callable, *arguments):
    """Applies a function on the CPU with JAX's own operations, in the highest precision."""
    with jax.default_device(jax.devices("cpu")[0]), traced_for("reference"), jax.default_matmul_precision("highest"):
        return jax.device_get(jax.jit(lambda *arguments: function(*arguments))(*arguments))


def on_device(function: Callable, *arguments, precision: str | None = "highest"):
    """Applies a function on the default device."""
    with jax.default_matmul_precision(precision):
        return jax.device_get(jax.jit(lambda *arguments: function(*arguments))(*arguments))


def judged(shares: dict[str, float], limits: dict[str, float] | None = None) -> dict:
    """Returns shares with `right`, whether none is above its limit."""
    limits = limits or LIMITS
    return {**shares, "right": all(x <= limits[key] for key, x in shares.items())}


def check_network(name: str, frames: int = FRAMES, size: int = SIZE) -> dict:
    """Compares a network's outputs and gradients on the device with the CPU's; see `LIMITS`.

    Returns:
        `forward`, `gradient` (float32, highest precision of matrix products; with running statistics, because the
        gradient through those of a small batch amplifies rounding), `bfloat16` (outputs, against the CPU's in
        float32), and `right`.
    """
    inputs = inputs_for(name, frames=frames, size=size)
    model, half = network_of(name), network_of(name, "bfloat16")
    with jax.default_device(jax.devices("cpu")[0]):
        variables = variables_for(model, inputs)

    def forward(variables, inputs, model=model):
        return model.apply(variables, **inputs)[0].astype(jnp.float32)

    def gradient(variables, inputs):
        def loss(params):
            return jnp.square(model.apply({**variables, "params": params}, **inputs)[0]).mean()

        return jax.grad(loss)(variables["params"])

    expected = on_cpu(forward, variables, inputs)
    return judged(
        {
            "forward": share(on_device(forward, variables, inputs), expected),
            "gradient": share(on_device(gradient, variables, inputs), on_cpu(gradient, variables, inputs)),
            "bfloat16": share(
                on_device(functools.partial(forward, model=half), variables, inputs, precision=None), expected
            ),
        }
    )


def moving_texture(frames: int, height: int, width: int) -> np.ndarray:
    """Returns frames of a texture of several scales that moves by (1.5, -0.75) pixels: float32 (T, H, W), 0..255."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    result = np.zeros((frames, height, width), np.float32)
    for wavelength in (6, 10, 17, 29, 50):
        for angle, phase in zip(rng.uniform(0, np.pi, 3), rng.uniform(0, 2 * np.pi, 3), strict=True):
            direction = np.cos(angle), np.sin(angle)
            for t in range(frames):
                place = direction[0] * (columns - 1.5 * t) + direction[1] * (rows + 0.75 * t)
                result[t] += np.sin(2 * np.pi * place / wavelength + phase)
    return 127.5 + 127.5 * result / np.abs(result).max()


def check_flow(method: str, size: int = SIZE) -> dict:
    """Compares a method of optical flow on the device with the CPU's, on a moving texture."""
    frames = moving_texture(5, size, size)
    function = lambda first, second: flow.METHODS[method](first, second)  # noqa: E731
    pair = frames[:-1], frames[1:]
    return judged({"flow": share(on_device(function, *pair), on_cpu(function, *pair))})


def check_repeats(name: str, steps: int = 10, size: int = SIZE) -> dict:
    """Trains a network twice with XLA's deterministic operations.

    Returns:
        `right`: whether both runs end with the same bits; `time`: of a step, relative to one without the option.
    """
    model, inputs = network_of(name), inputs_for(name, 4, size=size)
    batch = {"video": (127.5 + 127.5 * inputs["video"]).astype(np.uint8), "target": np.arange(4, dtype=np.int32)}
    batch["weight"] = np.ones(4, np.float32)
    tx = optimizer.make_optimizer("sgd", optimizer.make_schedule("constant", learning_rate=0.01, total_steps=1))
    common = {"model": model, "spec": SPEC, "tx": tx}
    first = jax.jit(functools.partial(step.init_state, 0, **common))(batch)
    train = functools.partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **common)

    def run(options) -> tuple[step.TrainState, float]:
        compiled = jax.jit(train, compiler_options=options).lower(first, batch).compile()
        state, times = first, []
        for _ in range(steps):
            started = time.perf_counter()
            state, _ = jax.block_until_ready(compiled(state, batch))
            times.append(time.perf_counter() - started)
        return jax.device_get(state), float(np.median(times))

    options = DETERMINISTIC if jax.default_backend() == "gpu" else None
    (a, seconds), (b, _), (_, by_default) = run(options), run(options), run(None)
    same = all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return {"time": round(seconds / by_default, 2), "right": same}


def check_export(name: str, size: int = SIZE) -> dict:
    """Exports a network as StableHLO for the CPU and this device, loads it, and compares what it computes."""
    model, inputs = network_of(name), inputs_for(name, size=size)
    with jax.default_device(jax.devices("cpu")[0]):
        variables = variables_for(model, inputs)
    platforms = sorted({"cpu", {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())})
    forward = lambda variables, inputs: model.apply(variables, **inputs)[0]  # noqa: E731
    with traced_for(*platforms), jax.default_matmul_precision("highest"):
        exported = export.export(jax.jit(forward), platforms=platforms)(variables, inputs)
    loaded = export.deserialize(bytearray(exported.serialize()))
    found = jax.device_get(jax.jit(loaded.call)(variables, inputs))
    return judged({"forward": share(found, on_cpu(forward, variables, inputs))}) | {"platforms": platforms}


NETWORKS = tuple(MODELS)
