"""What a network costs: parameters, multiply-adds, receptive field by layer, and the memory of a training step.

    python -m vidjax.summary r3d_18 --input 16x112x112
    python -m vidjax.summary resnet50 --input 224x224 --num_classes 1000 --no_step
    python -m vidjax.summary configs/c3d.py --batch_size 64

Nothing is allocated: the network is traced on shapes, and the memory is read from the compiled training step.
"""

import argparse
import functools
import importlib.util
import math
import re
import sys
from pathlib import Path

import jax
import numpy as np
from absl import logging as absl_logging
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import costs, step, step_memory
from vidjax.data import clips, records
from vidjax.models import MODELS, inputs_of, needs_flow
from vidjax.preprocess import preprocess
from vidjax.receptive_rules import Field

NUM_CLASSES, BATCH_SIZE = 400, 8  # of a model by its name: as many classes as Kinetics-400 has
NUM_WORDS = 16  # of a caption
OPTIMIZER = {"name": "adamw", "weight_decay": 0.01}
ON_CPU = "on CPUs convolutions take scratch memory besides: 4 to 13 % more of it was measured"

Inputs = dict[str, jax.ShapeDtypeStruct]


# -------------------------------------------------------------------------------------------------------------- what of


def find_config(name: str) -> ConfigDict:
    """A file of configs, `configs/frame_rnn.py` or with its argument `configs/frame_rnn.py:motion,small`; or a model.

    A model by its name gets float32, AdamW and softmax.

    Raises:
        ValueError: for neither; lists the valid names.
    """
    if name in MODELS:
        return ConfigDict({
            "model": {"name": name},
            "preprocess": {"mean": [127.5] * 3, "std": [127.5] * 3},
            "flow": "stored" if needs_flow(name) else "",
            "target": "clip",
            "loss": {"name": "softmax"},
            "optimizer": OPTIMIZER,
            "schedule": {"name": "constant", "learning_rate": 1e-3},
            "freeze": (),
            "accumulate": 1,
            "ema_decay": 0.0,
            "dtype": "float32",
            "batch_size": BATCH_SIZE,
            "mesh": {"fsdp": 1},
            "seed": 0,
        })  # fmt: skip
    path, colon, argument = name.partition(":")
    if not path.endswith(".py") or not Path(path).exists():
        files = ", ".join(map(str, sorted(Path("configs").glob("*.py")))) or "none in this directory"
        raise ValueError(f"{name!r} is neither a model ({', '.join(MODELS)}) nor the file of a config ({files}).")
    sys.path.append(".")  # configs/ belongs to the repository and is not installed
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{path} is no config: it has no get_config().")
    config = module.get_config(*([argument] if colon else []))
    configs.check(config)
    return config


def find_inputs(config: ConfigDict, size: str | None, batch_size: int, num_classes: int | None):
    """The inputs of a batch as shapes, the number of classes, and where that is from.

    Args:
        size: "16x112x112" (frames, height, width), "224x224" (an image), "32x1024" (features: steps, width); None: the
            config's.

    Raises:
        ValueError: for another form, an input that the model does not take, or no size where one is needed.
    """
    described, info = "--num_classes", None
    if "dataset" in config:
        try:
            info = records.read_info(Path(config.dataset))
        except ValueError:
            pass  # a summary needs no records
    if num_classes is None:
        num_classes, described = (len(info.labels), config.dataset) if info else (NUM_CLASSES, "by default")
    if size is None:
        if "clip" not in config:
            raise ValueError(f"Say what {config.model.name} is to see: --input 16x112x112 (frames, height, width).")
        if "size" not in config.clip and not info:
            raise ValueError(f"No records at {config.dataset}: say how wide the features are, --input STEPSxWIDTH.")
        blank = clips.blank_batch(info.inputs if info else {}, configs.clip_of(config), 1)
        inputs = {name: (x.shape[1:], x.dtype) for name, x in blank.items()}
    else:
        inputs = parse_size(size, config)
    shapes = {name: jax.ShapeDtypeStruct((batch_size, *shape), dtype) for name, (shape, dtype) in inputs.items()}
    return shapes, num_classes, described


def parse_size(size: str, config: ConfigDict) -> dict[str, tuple]:
    """Shape and dtype of each input of one clip; arguments and errors as of `find_inputs`."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", size):
        raise ValueError(
            f"--input {size} is none of: 16x112x112 (frames, height, width), 224x224 (height and width of an image), "
            "32x1024 (steps and width of features)."
        )
    numbers = tuple(map(int, size.split("x")))
    taken = inputs_of(config.model.name) or ["video"]  # an unknown name is told of where the model is made
    if len(numbers) == 2 and "features" in taken:
        return {"features": (numbers, np.float32), "frame_mask": (numbers[:1], np.float32)}
    if "video" not in taken:
        raise ValueError(f"{config.model.name} takes features: give --input STEPSxWIDTH, as in 32x1024.")
    numbers = numbers if len(numbers) == 3 else (1, *numbers)
    channels = {"video": len(config.preprocess.mean), "flow": clips.CHANNELS["flow"]}
    streams = {name: ((*numbers, channels[name]), np.uint8) for name in configs.streams_of(config)}
    return streams | ({"tokens": ((NUM_WORDS,), np.int32)} if "tokens" in taken else {})


# ------------------------------------------------------------------------------------------------------------ the table


def layers_of(config: ConfigDict, inputs: Inputs, num_classes: int) -> tuple[list[costs.Layer], dict, Inputs]:
    """`costs.layers_of` of a config's model, and the floats that the network sees by name."""
    model = configs.model_from(config, num_classes)
    # The network sees videos after vidjax.preprocess; without a mask, all frames count
    seen = jax.eval_shape(functools.partial(preprocess, spec=configs.spec_of(config), dtype=config.dtype), inputs)
    floats = {name: jax.ShapeDtypeStruct(x.shape, config.dtype) for name, x in seen.items() if name in costs.AXES}
    words = {name: x for name, x in inputs.items() if name == "tokens"}
    return *costs.layers_of(model, step.model_inputs(model, floats | words)), floats


def table(config: ConfigDict, inputs: Inputs, num_classes: int, depth: int) -> str:
    """The layers of a config's model down to a depth, a line each, what the network returns, and the totals."""
    (network, *layers), ends, floats = layers_of(config, inputs, num_classes)
    kind, x = max(floats.items())  # of the two streams, which have the same axes, video
    axes = dict(zip(costs.AXES[kind].values(), x.shape[1:-1], strict=False))  # lengths by name

    def row(name: str, layer: costs.Layer) -> tuple[str, ...]:
        shape, size = layer.output.shape, math.prod(layer.output.shape) * layer.output.dtype.itemsize
        num_params = f"{layer.num_params:,}" if layer.num_params else ""
        madds = in_giga(layer.multiply_adds / x.shape[0]) if layer.multiply_adds else ""
        fields = " x ".join(field_size(layer.fields.get(axis), length) for axis, length in axes.items())
        return name, "x".join(map(str, shape)), f"{size / 2**20:.2f}", num_params, madds, fields

    rows = [("layer", "output", "MiB", "parameters", "multiply-adds", f"receptive field ({' x '.join(axes)})"), ()]
    rows += [row("  " * (len(layer.path) - 1) + layer.path[-1], layer) for layer in layers if len(layer.path) <= depth]
    rows += [(), *(row(name, ends[name]) for name in ("features", "outputs") if name in ends)]
    totals = f"parameters {network.num_params:,}, multiply-adds {in_giga(network.multiply_adds / x.shape[0])} a clip"
    return "\n".join([*aligned(rows), "", totals, *where_it_looks(layers, axes)])


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """The rows as lines of columns, numbers to the right; an empty row is a rule."""
    widths = [max(len(row[k]) for row in rows if row) for k in range(len(rows[0]))]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    sides = (str.ljust, str.ljust, *[str.rjust] * (len(widths) - 3), str.ljust)
    lines = ("  ".join(side(cell, w) for side, cell, w in zip(sides, row, widths, strict=False)) for row in rows)
    return [line.rstrip() or rule for line in lines]


def in_giga(number: float) -> str:
    return f"{number / 1e9:.3f} G" if number >= 1e8 else f"{number / 1e6:.3f} M"


def field_size(field: Field | None, length: int) -> str:
    """A field's extent along an axis of the input of `length`, in frames or pixels.

    "all" where every output sees all of the axis, "past" where each sees all that was before.
    """
    if field is None:
        return "none"
    if math.isfinite(field.last) and not math.isfinite(field.first) and field.step:
        return "past"
    if not math.isfinite(field.size) or (not field.step and field.first <= 0 and field.last >= length - 1 > 0):
        return "all"
    return str(int(field.size))


def where_it_looks(layers: list[costs.Layer], axes: dict[str, int]) -> list[str]:
    """Says of the last layer that still runs along every axis which positions its outputs see: shows what is causal."""
    running = [x for x in layers if all(name in x.fields and x.fields[name].step for name in axes)]
    if not running:
        return []
    layer = next(x for x in running if running[-1].path[: len(x.path)] == x.path)  # the block that it is in
    lines = [f"output i of {'/'.join(layer.path)} sees"]
    for name in axes:
        step, first, last = layer.fields[name]
        moving = "i" if step == 1 else f"{step}i"
        ends = [f"{moving}{end:+}" if end else moving for end in dict.fromkeys((first, last)) if math.isfinite(end)]
        what = "frames" if name == "frames" else f"pixels of the {name}"
        lines.append(f"  {what} {'up to ' if first == -math.inf else ''}{' to '.join(ends) or '(all)'}")
    return [*lines, "  (in theory: what is before 0 or after the end is padding)"]


# ------------------------------------------------------------------------------------------------------------- the step


def describe_step(config: ConfigDict, inputs: Inputs, num_classes: int) -> tuple[str, bool]:
    """What a training step takes of the memory of a device, part by part, and whether it fits."""
    available, known_from = step_memory.available_bytes()
    batch_size = jax.tree.leaves(inputs)[0].shape[0]
    device = jax.local_devices()[0]
    how = f"batch of {batch_size}, {config.dtype}, {config.optimizer.name}, {config.loss.name}"
    on = f"{jax.device_count()} x {device.device_kind}" if jax.device_count() > 1 else device.device_kind
    head = f"memory of a training step ({how}), compiled for {jax.default_backend()} ({on})"
    try:
        memory = step_memory.step_memory(config, num_classes, inputs)
    except MemoryError as error:
        return f"{head}:\n  does not fit: the compiler says {error}\n{ways_out(config, 0, batch_size)}", False
    parts = {
        "arguments": (memory.arguments, f"the state takes {in_gib(memory.state)}, the rest is the batch"),
        "+ outputs": (memory.outputs, "the next state"),
        "+ temporaries": (memory.temporaries, f"activations, workspace and {in_gib(memory.gradients)} of gradients"),
        "- aliased": (memory.aliased, "the next state lies where the state was"),
        "= a step": (memory.total, ON_CPU if jax.default_backend() == "cpu" else "on each device"),
        "available": (available, known_from),
    }
    lines = [f"{head}:"]
    lines += [f"  {name:13} {in_gib(size):>10}  {meaning}".rstrip() for name, (size, meaning) in parts.items()]
    lines += [
        f"  {traffic.count} x {kind}, {in_gib(traffic.bytes)} on each device"
        for kind, traffic in memory.collectives.items()
    ]
    if memory.total <= available:
        return "\n".join(lines), True
    fitting = step_memory.largest_batch(memory, batch_size, available, jax.device_count() * config.accumulate)
    return "\n".join([*lines, "  It does not fit.", ways_out(config, fitting, batch_size)]), False


def ways_out(config: ConfigDict, fitting: int, batch_size: int) -> str:
    """What to do where a step does not fit; `fitting` is a batch size that should, or 0."""
    ways = [f"batch_size = {fitting} or less should fit (estimated)"] if fitting else []
    if not fitting and batch_size > 1:
        ways.append("a smaller batch_size")
    if config.dtype == "float32":
        ways.append("dtype = 'bfloat16' halves the activations on GPUs and TPUs")
    in_chunks = config.get("clip", {}).get("sampling") == "chunks"
    if not batch_size % (2 * config.accumulate * jax.device_count()) and not in_chunks:
        ways.append(f"accumulate = {2 * config.accumulate} sees the batch in that many parts, one after the other")
    network = MODELS[config.model.name]
    has_blocks = hasattr(getattr(network, "func", network), "remat")
    if has_blocks and not config.model.get("remat") and jax.default_backend() != "cpu":
        ways.append("model.remat = True computes the activations of each block twice and keeps few")
    ways.append("freeze = ('layer1.*',) and the like: frozen layers have neither gradients nor optimizer state")
    if config.mesh.get("fsdp", 1) == 1:
        ways.append("mesh.fsdp = N splits the state over N devices")
    return "\n".join(f"  - {way}" for way in ways)


def in_gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def plan(config: ConfigDict) -> tuple[str, bool]:
    """`describe_step` of the batches of a config; where its records are not there yet, with a guess of the classes."""
    configs.check(config)
    inputs, num_classes, known_from = find_inputs(config, None, config.batch_size, None)
    text, fits = describe_step(config, inputs, num_classes)
    return f"{described(config, inputs, num_classes, known_from)}\n\n{text}", fits


def described(config: ConfigDict, inputs: Inputs, num_classes: int, known_from: str) -> str:
    shown = ", ".join(f"{name} {'x'.join(map(str, x.shape))} {x.dtype}" for name, x in inputs.items())
    return f"{config.model.name}: {shown}; {num_classes} classes ({known_from})"


# ---------------------------------------------------------------------------------------------------------- the command


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("network", metavar="MODEL|CONFIG",
        help=f"one of {', '.join(MODELS)}; or a file of configs/, with its argument after a colon")  # fmt: skip
    add("--input", metavar="SIZE",
        help="16x112x112 (frames, height, width), 224x224 (an image) or 32x1024 (steps and width of features); "
        "by default the config's")  # fmt: skip
    add("--num_classes", type=int, help=f"by default those of the config's records, or {NUM_CLASSES}")
    add("--batch_size", type=int, help=f"clips in a global batch; by default the config's, or {BATCH_SIZE}")
    add("--depth", type=int, default=2, help="how far to go into modules within modules (default: 2)")
    add("--no_step", action="store_true", help="only the table: compiling the step can take a minute")
    args = parser.parse_args(argv)
    for name in ("num_classes", "batch_size", "depth"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be 1 or more")
    return args


def main(argv=None) -> int:
    """Prints the summary; returns the exit status: 1 where the step does not fit."""
    args = parse_args(argv)
    absl_logging.set_verbosity(absl_logging.WARNING)
    try:
        config = find_config(args.network)
        batch_size = args.batch_size or config.batch_size
        inputs, num_classes, known_from = find_inputs(config, args.input, batch_size, args.num_classes)
        print(f"{described(config, inputs, num_classes, known_from)}\n")
        print(table(config, inputs, num_classes, args.depth))
        if args.no_step:
            return 0
        print()
        text, fits = describe_step(config, inputs, num_classes)
        print(text)
        return 0 if fits else 1
    except ValueError as error:
        sys.exit(f"vidjax.summary: {error}")


if __name__ == "__main__":
    sys.exit(main())
