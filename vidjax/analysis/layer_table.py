"""The layers of a network as a table: parameters, multiply-adds, receptive fields."""

import functools
import math

import jax
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import step
from vidjax.analysis import costs
from vidjax.analysis.networks import Inputs
from vidjax.analysis.receptive_rules import Field
from vidjax.inference import restore
from vidjax.preprocess import preprocess


def layers_of(config: ConfigDict, inputs: Inputs, num_classes: int) -> tuple[list[costs.Layer], dict, Inputs]:
    """Returns `costs.layers_of` for a config's model, and the shapes of its float inputs by name."""
    model = configs.model_from(config, num_classes)
    # Networks get preprocessed videos. Without a mask, all frames count
    seen = jax.eval_shape(functools.partial(preprocess, spec=restore.spec_of(config), dtype=config.dtype), inputs)
    floats = {name: jax.ShapeDtypeStruct(x.shape, config.dtype) for name, x in seen.items() if name in costs.AXES}
    words = {name: x for name, x in inputs.items() if name == "tokens"}
    return *costs.layers_of(model, step.model_inputs(model, floats | words)), floats


def table(config: ConfigDict, inputs: Inputs, num_classes: int, depth: int) -> str:
    """Formats the layers of a config's model, one line per layer down to `depth`, then its results and totals."""
    (network, *layers), ends, floats = layers_of(config, inputs, num_classes)
    kind, x = max(floats.items())  # two streams have the same axes: take video
    axes = dict(zip(costs.AXES[kind].values(), x.shape[1:-1], strict=False))  # length by name

    def row(name: str, layer: costs.Layer) -> tuple[str, ...]:
        shape, size = layer.output.shape, math.prod(layer.output.shape) * layer.output.dtype.itemsize
        num_params = f"{layer.num_params:,}" if layer.num_params else ""
        madds = in_giga(layer.multiply_adds / x.shape[0]) if layer.multiply_adds else ""
        fields = " x ".join(field_size(layer.fields.get(axis), length) for axis, length in axes.items())
        return name, "x".join(map(str, shape)), f"{size / 2**20:.2f}", num_params, madds, fields

    rows = [("layer", "output", "MiB", "parameters", "multiply-adds", f"receptive field ({' x '.join(axes)})"), ()]
    rows += [row("  " * (len(layer.path) - 1) + layer.path[-1], layer) for layer in layers if len(layer.path) <= depth]
    rows += [(), *(row(name, ends[name]) for name in ("features", "outputs") if name in ends)]
    totals = f"parameters {network.num_params:,}, multiply-adds {in_giga(network.multiply_adds / x.shape[0])} per clip"
    return "\n".join([*aligned(rows), "", totals, *where_it_looks(layers, axes)])


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Formats rows as lines of aligned columns, numbers on the right; an empty row becomes a rule."""
    widths = [max(len(row[k]) for row in rows if row) for k in range(len(rows[0]))]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    sides = (str.ljust, str.ljust, *[str.rjust] * (len(widths) - 3), str.ljust)
    lines = ("  ".join(side(cell, w) for side, cell, w in zip(sides, row, widths, strict=False)) for row in rows)
    return [line.rstrip() or rule for line in lines]


def in_giga(number: float) -> str:
    return f"{number / 1e9:.3f} G" if number >= 1e8 else f"{number / 1e6:.3f} M"


def field_size(field: Field | None, length: int) -> str:
    """Formats the size of a field in frames or pixels, along an input axis of `length`.

    "all": every output sees the whole axis. "past": every output sees all earlier positions.
    """
    if field is None:
        return "none"
    if math.isfinite(field.last) and not math.isfinite(field.first) and field.step:
        return "past"
    if not math.isfinite(field.size) or (not field.step and field.first <= 0 and field.last >= length - 1 > 0):
        return "all"
    return str(int(field.size))


def where_it_looks(layers: list[costs.Layer], axes: dict[str, int]) -> list[str]:
    """Describes which positions the outputs of the last layer with all axes see. This shows what is causal."""
    running = [x for x in layers if all(name in x.fields and x.fields[name].step for name in axes)]
    if not running:
        return []
    layer = next(x for x in running if running[-1].path[: len(x.path)] == x.path)  # the block that contains it
    lines = [f"output i of {'/'.join(layer.path)} sees"]
    for name in axes:
        step, first, last = layer.fields[name]
        moving = "i" if step == 1 else f"{step}i"
        ends = [f"{moving}{end:+}" if end else moving for end in dict.fromkeys((first, last)) if math.isfinite(end)]
        what = "frames" if name == "frames" else f"pixels of the {name}"
        lines.append(f"  {what} {'up to ' if first == -math.inf else ''}{' to '.join(ends) or '(all)'}")
    return [*lines, "  (positions before 0 or after the end are padding)"]
