"""Forward pass and training step (SGD with momentum) of published networks, against PyTorch.

Ours are the steps of `vidjax.train`: the time includes the normalisation of uint8 clips. PyTorch gets normalised clips,
channels last, under autocast for bfloat16, with and without torch.compile. Clips are on the device, and each call waits
for its result.
"""

import functools
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidjax import compile_options, losses, optimizer, step
from vidjax.analysis import costs
from vidjax.bench import alternate, compare, summary
from vidjax.models import make_model

SIZES = {  # published input sizes
    "i3d": "16x224x224",
    "r2plus1d_18": "16x112x112",
    "c3d": "16x112x112",
    "r3d_18": "16x112x112",
    "s3d": "16x224x224",
}
ARGUMENTS = {name: {"dropout": 0.5} for name in ("i3d", "c3d", "s3d")}
PASSES = {"forward": 1, "training": 3}  # pass -> its multiply-adds, relative to a forward pass
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-3, 0.9, 1e-4
BATCH_SIZES = {"cpu": 2, "gpu": 32, "tpu": 32}
DTYPES = {"cpu": ["float32"], "gpu": ["float32", "bfloat16"], "tpu": ["float32", "bfloat16"]}


class Contestant(NamedTuple):
    """A pass to time.

    Attributes:
        run: runs the pass and waits for its end.
        seconds: compilation time.
        size: memory of a training step in bytes, 0 if unknown.
    """

    run: Callable
    seconds: float = 0.0
    size: int = 0


def bench_models(
    networks: Sequence[str] | None, dtypes: Sequence[str] | None, batch_size: int | None, rounds: int, vs_torch: bool
) -> dict:
    """Times published networks.

    Args:
        networks: names in `SIZES`; None for all.
        dtypes: float32, bfloat16; None for those that `DTYPES` has for the device.
        batch_size: clips per batch; None for that of `BATCH_SIZES`.

    Returns:
        By "NETWORK DTYPE PASS": `clips/s` by contestant (`vidjax`, `torch`, `torch.compile`; each a `summary`), `ratio`
        of our speed to each other one's (see `compare`), `compile s`, `MiB` of a training step, and our `share of peak`
        relative to the product of two large matrices in that dtype, timed in the same rounds.

    Raises:
        ValueError: for an unknown network, an empty batch, or with `vs_torch` if PyTorch is not installed.
    """
    if vs_torch:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # shares the GPU's memory with PyTorch
    device = jax.default_backend() if jax.default_backend() in DTYPES else "gpu"
    networks, dtypes = networks or list(SIZES), dtypes or DTYPES[device]
    batch_size = BATCH_SIZES[device] if batch_size is None else batch_size
    if unknown := set(networks) - set(SIZES):
        raise ValueError(f"Unknown network {', '.join(sorted(unknown))}; choose from {', '.join(SIZES)}.")
    if batch_size < 1:
        raise ValueError(f"--batch_size {batch_size} must be 1 or more.")
    if vs_torch and not all(importlib.util.find_spec(package) for package in ("torch", "torchvision")):
        raise ValueError("PyTorch is not installed: pip install torch torchvision.")
    result = {}
    for name in networks:
        for dtype in dtypes:
            passes, multiply_adds = ours(name, dtype, batch_size)
            for kind, times_forward in PASSES.items():
                contestants = {"vidjax": passes[kind]}
                if vs_torch:
                    contestants |= theirs(name, dtype, batch_size, kind)
                multiply, multiply_adds_of_product = product(dtype)
                functions = {who: contestant.run for who, contestant in contestants.items()}
                times = alternate(functions | {"product": multiply}, rounds)
                peak = multiply_adds_of_product / np.median(times.pop("product"))
                speed = times_forward * multiply_adds / np.median(times["vidjax"])
                result[f"{name} {dtype} {kind}"] = {
                    "clips/s": {who: summary([1e3 * batch_size / x for x in times[who]]) for who in times},
                    "ratio": {who: compare(times[who], times["vidjax"]) for who in times if who != "vidjax"},
                    "compile s": {who: round(contestant.seconds, 1) for who, contestant in contestants.items()},
                    "MiB": {who: round(c.size / 2**20) for who, c in contestants.items() if c.size},
                    "share of peak": round(float(speed / peak), 3),
                }
    return result


def ours(name: str, dtype: str, batch_size: int) -> tuple[dict[str, Contestant], int]:
    """Returns our passes, and the multiply-adds of a forward pass of a batch."""
    model = make_model(name, num_classes_of(name), dtype=jnp.dtype(dtype), **ARGUMENTS.get(name, {}))
    frames, height, width = map(int, SIZES[name].split("x"))
    video = jax.random.randint(jax.random.key(0), (batch_size, frames, height, width, 3), 0, 256, jnp.uint8)
    batch = {"video": video, "target": jnp.zeros(batch_size, jnp.int32), "weight": jnp.ones(batch_size)}
    (network, *_), _ = costs.layers_of(model, {"video": jax.ShapeDtypeStruct(video.shape, dtype)})

    schedule = optimizer.make_schedule("constant", learning_rate=LEARNING_RATE, total_steps=1)
    tx = optimizer.make_optimizer("sgd", schedule, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    common = {"model": model, "spec": {"mean": [127.5] * 3, "std": [127.5] * 3}}
    train = functools.partial(step.train_step, loss_fn=losses.softmax_cross_entropy, tx=tx, **common)
    states = [jax.jit(functools.partial(step.init_state, 0, tx=tx, **common))(batch)]

    started = time.perf_counter()
    options = compile_options.of_training(model)
    trained = jax.jit(train, donate_argnums=0, compiler_options=options).lower(states[0], batch).compile()
    train_seconds = time.perf_counter() - started
    memory = trained.memory_analysis()
    size = memory.argument_size_in_bytes + memory.temp_size_in_bytes  # the state is updated in place

    started = time.perf_counter()
    options = compile_options.of_inference(model)
    evaluate = jax.jit(functools.partial(step.eval_step, **common), compiler_options=options)
    evaluate = evaluate.lower(states[0].params, states[0].model_state, batch).compile()
    forward_seconds = time.perf_counter() - started

    def run_training():
        states[0], train_metrics = trained(states[0], batch)
        jax.block_until_ready(train_metrics)

    def run_forward():
        jax.block_until_ready(evaluate(states[0].params, states[0].model_state, batch))

    training = Contestant(run_training, train_seconds, size)
    return {"forward": Contestant(run_forward, forward_seconds), "training": training}, network.multiply_adds


def num_classes_of(name: str) -> int:
    """Returns the number of classes: Kinetics-400's, or Sports-1M's for C3D."""
    return 487 if name == "c3d" else 400


def product(dtype: str) -> tuple[Callable, int]:
    """Returns a product of two square matrices, the reference for peak speed, and its multiply-adds."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((size, size), dtype)
    multiply = jax.jit(lambda a, b: a @ b)
    return lambda: jax.block_until_ready(multiply(x, x)), size**3


def theirs(name: str, dtype: str, batch_size: int, kind: str) -> dict[str, Contestant]:
    """Returns PyTorch's pass, and that of torch.compile if it works on this machine."""
    import torch

    from vidjax.bench import torch_networks

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    frames, height, width = map(int, SIZES[name].split("x"))
    clips = torch.rand(batch_size, 3, frames, height, width, device=device) * 2 - 1
    clips = clips.to(memory_format=torch.channels_last_3d)
    target = torch.zeros(batch_size, dtype=torch.long, device=device)

    def contestant(compiled: bool) -> Contestant:
        network = torch_networks.NETWORKS[name](num_classes=num_classes_of(name))
        network = network.to(device, memory_format=torch.channels_last_3d).train(kind == "training")
        optimizer = torch.optim.SGD(
            network.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
        )
        apply = torch.compile(network) if compiled else network

        def logits():
            with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
                return apply(clips)

        def run():
            if kind == "training":
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(logits().float(), target).backward()
                optimizer.step()
            else:
                with torch.inference_mode():
                    logits()
            if device == "cuda":
                torch.cuda.synchronize()

        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started if compiled else 0.0
        if device == "cpu":
            return Contestant(run, seconds)
        torch.cuda.reset_peak_memory_stats()
        run()
        return Contestant(run, seconds, torch.cuda.max_memory_allocated() if kind == "training" else 0)

    found = {"torch": contestant(compiled=False)}
    try:
        found["torch.compile"] = contestant(compiled=True)
    except Exception as error:  # many causes: a missing compiler or package, an unsupported backend
        print(f"torch.compile does not work here: {str(error).strip().splitlines()[0]}")
    return found


def show(result: dict):
    """Prints two lines per network, dtype and pass."""
    width = max(map(len, result))
    for name, values in result.items():
        speeds = [f"{who} {x['median']:.2f}" for who, x in values["clips/s"].items()]
        ratios = [f"{x['median']:.2f} x {who} [{x['min']:.2f}, {x['max']:.2f}]" for who, x in values["ratio"].items()]
        peak = f"{100 * values['share of peak']:.0f} % of a matrix product's speed"
        print(f"{name:{width}} clips/s: {', '.join(speeds)}; {'; '.join([*ratios, peak])}")
        rest = {key: values[key] for key in ("compile s", "MiB") if values[key]}
        texts = [f"{key} " + ", ".join(f"{who} {x}" for who, x in by_who.items()) for key, by_who in rest.items()]
        print(f"{'':{width}} {'; '.join(texts)}")
