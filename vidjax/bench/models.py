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
import optax

from vidjax import compile_options, losses, optimizer, step
from vidjax.analysis import costs
from vidjax.bench import alternate, compare, summary
from vidjax.models import make_model


class Case(NamedTuple):
    """A published network.

    Attributes:
        network: its name in `MODELS`; arguments: its arguments.
        size: input size, FRAMESxHEIGHTxWIDTH.
        num_classes: number of classes: Kinetics-400's by default.
    """

    network: str
    arguments: dict
    size: str
    num_classes: int = 400


CASES = {
    "i3d": Case("i3d", {"dropout": 0.5}, "16x224x224"),
    "r2plus1d_18": Case("r2plus1d_18", {}, "16x112x112"),
    "c3d": Case("c3d", {"dropout": 0.5}, "16x112x112", 487),  # the classes of Sports-1M
    "r3d_18": Case("r3d_18", {}, "16x112x112"),
    "s3d": Case("s3d", {"dropout": 0.5}, "16x224x224"),
    "i3d_64": Case("i3d", {"dropout": 0.5}, "64x224x224"),  # as trained on Kinetics
    "vgg16": Case("vgg16", {}, "16x224x224"),  # on each frame
    "videomae_b": Case("videomae_b", {}, "16x224x224"),
    "video_swin_t": Case("video_swin_t", {}, "16x112x112"),
    "mvit_v2_s": Case("mvit_v2_s", {}, "16x224x224"),
    "x3d_s": Case("x3d_s", {}, "13x160x160"),
    "x3d_m": Case("x3d_m", {}, "16x224x224"),
    "slowfast_r50_4x16": Case("slowfast_r50_4x16", {}, "32x224x224"),
    "slowfast_r50_8x8": Case("slowfast_r50_8x8", {}, "32x224x224"),
    "tsm": Case("tsm", {"backbone": {"name": "resnet50"}}, "8x224x224"),
    "cnn_lstm": Case("frame_rnn", {"backbone": {"name": "resnet50"}, "hidden": 512}, "16x224x224"),
}
OF_PYTORCHVIDEO = ("x3d_s", "x3d_m", "slowfast_r50_4x16", "slowfast_r50_8x8")
DEFAULT = ("i3d", "r2plus1d_18", "c3d", "r3d_18", "s3d")
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
        networks: names in `CASES`; None for `DEFAULT`.
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
    networks, dtypes = networks or DEFAULT, dtypes or DTYPES[device]
    batch_size = BATCH_SIZES[device] if batch_size is None else batch_size
    if unknown := set(networks) - set(CASES):
        raise ValueError(f"Unknown network {', '.join(sorted(unknown))}; choose from {', '.join(CASES)}.")
    if batch_size < 1:
        raise ValueError(f"--batch_size {batch_size} must be 1 or more.")
    if vs_torch and not all(importlib.util.find_spec(package) for package in ("torch", "torchvision", "transformers")):
        raise ValueError("PyTorch is not installed: pip install torch torchvision transformers.")
    if vs_torch and {*networks} & {*OF_PYTORCHVIDEO} and not importlib.util.find_spec("pytorchvideo"):
        raise ValueError(f"{', '.join(OF_PYTORCHVIDEO)} are compared with pytorchvideo: pip install pytorchvideo.")
    result = {}
    for name in networks:
        for dtype in dtypes:
            measured = bench_case(CASES[name], dtype, batch_size, rounds, name if vs_torch else None)
            result |= {f"{name} {dtype} {kind}": values for kind, values in measured.items()}
    return result


def bench_case(
    case: Case, dtype: str, batch_size: int, rounds: int, torch_name: str | None = None, limit: int | None = None
) -> dict:
    """Returns the results of a forward pass and of a training step, see `bench_models`.

    Args:
        batch_size: clips per batch; halved until our training step fits.
        torch_name: PyTorch's network to compare with, a key of `torch_networks.NETWORKS`; None for no comparison.
        limit: memory of a training step in bytes; None for no limit.
    """
    passes, multiply_adds = ours(case, dtype, batch_size)
    while limit and passes["training"].size > limit and batch_size > 1:
        batch_size //= 2
        del passes  # frees the state of the larger step
        passes, multiply_adds = ours(case, dtype, batch_size)
    result = {}
    for kind, times_forward in PASSES.items():
        contestants = {"vidjax": passes[kind]}
        if torch_name:
            contestants |= theirs(torch_name, case, dtype, batch_size, kind)
        multiply, multiply_adds_of_product = product(dtype)
        functions = {who: contestant.run for who, contestant in contestants.items()}
        times = alternate(functions | {"product": multiply}, rounds)
        peak = multiply_adds_of_product / np.median(times.pop("product"))
        speed = times_forward * multiply_adds / np.median(times["vidjax"])
        result[kind] = {
            "batch": batch_size,
            "clips/s": {who: summary([1e3 * batch_size / x for x in times[who]]) for who in times},
            "ratio": {who: compare(times[who], times["vidjax"]) for who in times if who != "vidjax"},
            "compile s": {who: round(contestant.seconds, 1) for who, contestant in contestants.items()},
            "MiB": {who: round(c.size / 2**20) for who, c in contestants.items() if c.size},
            "share of peak": round(float(speed / peak), 3),
        }
    return result


class Setting(NamedTuple):
    """What our passes of a case need: keyword arguments of both steps, the optimizer, a state and a batch."""

    common: dict
    tx: optax.GradientTransformation
    state: step.TrainState
    batch: step.Batch

    def compile_training(self, **arguments):
        """Compiles the training step, for a donated state; `arguments` are those of `step.train_step`."""
        train = functools.partial(
            step.train_step, loss_fn=losses.softmax_cross_entropy, tx=self.tx, **self.common, **arguments
        )
        options = compile_options.of_training(self.common["model"])
        return jax.jit(train, donate_argnums=0, compiler_options=options).lower(self.state, self.batch).compile()


def setting_of(case: Case, dtype: str, batch_size: int, **arguments) -> Setting:
    """Returns the setting of a case; `arguments` are further arguments of the network."""
    model = make_model(case.network, case.num_classes, dtype=jnp.dtype(dtype), **case.arguments, **arguments)
    frames, height, width = map(int, case.size.split("x"))
    video = jax.random.randint(jax.random.key(0), (batch_size, frames, height, width, 3), 0, 256, jnp.uint8)
    batch = {"video": video, "target": jnp.zeros(batch_size, jnp.int32), "weight": jnp.ones(batch_size)}
    schedule = optimizer.make_schedule("constant", learning_rate=LEARNING_RATE, total_steps=1)
    tx = optimizer.make_optimizer("sgd", schedule, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    common = {"model": model, "spec": {"mean": [127.5] * 3, "std": [127.5] * 3}}
    return Setting(common, tx, jax.jit(functools.partial(step.init_state, 0, tx=tx, **common))(batch), batch)


def memory_of(compiled) -> int:
    """Returns the bytes of a compiled training step: its arguments, which are updated in place, and temporaries."""
    memory = compiled.memory_analysis()
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes


def ours(case: Case, dtype: str, batch_size: int) -> tuple[dict[str, Contestant], int]:
    """Returns our passes, and the multiply-adds of a forward pass of a batch."""
    setting = setting_of(case, dtype, batch_size)
    video = jax.ShapeDtypeStruct(setting.batch["video"].shape, dtype)
    (network, *_), _ = costs.layers_of(setting.common["model"], {"video": video})
    states = [setting.state]

    started = time.perf_counter()
    trained = setting.compile_training()
    train_seconds = time.perf_counter() - started

    started = time.perf_counter()
    options = compile_options.of_inference(setting.common["model"])
    evaluate = jax.jit(functools.partial(step.eval_step, **setting.common), compiler_options=options)
    evaluate = evaluate.lower(states[0].params, states[0].model_state, setting.batch).compile()
    forward_seconds = time.perf_counter() - started

    def run_training():
        states[0], train_metrics = trained(states[0], setting.batch)
        jax.block_until_ready(train_metrics)

    def run_forward():
        jax.block_until_ready(evaluate(states[0].params, states[0].model_state, setting.batch))

    training = Contestant(run_training, train_seconds, memory_of(trained))
    return {"forward": Contestant(run_forward, forward_seconds), "training": training}, network.multiply_adds


def product(dtype: str) -> tuple[Callable, int]:
    """Returns a product of two square matrices, the reference for peak speed, and its multiply-adds."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((size, size), dtype)
    multiply = jax.jit(lambda a, b: a @ b)
    return lambda: jax.block_until_ready(multiply(x, x)), size**3


def theirs(name: str, case: Case, dtype: str, batch_size: int, kind: str) -> dict[str, Contestant]:
    """Returns PyTorch's pass, and that of torch.compile if it works on this machine."""
    import torch

    from vidjax.bench import torch_networks

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    frames, height, width = map(int, case.size.split("x"))
    clips = torch.rand(batch_size, 3, frames, height, width, device=device) * 2 - 1
    clips = clips.to(memory_format=torch.channels_last_3d)
    target = torch.zeros(batch_size, dtype=torch.long, device=device)

    def contestant(compiled: bool) -> Contestant:
        network = torch_networks.NETWORKS[name](num_classes=case.num_classes)
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
