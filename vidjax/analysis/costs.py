"""Parameters, multiply-adds, output sizes and receptive fields of a network per layer, from shapes alone."""

import collections
import dataclasses
import math
from collections.abc import Mapping

import jax
from flax import linen as nn
from flax import traverse_util

from vidjax.analysis.receptive_field import interpret
from vidjax.analysis.receptive_rules import Field, input_value
from vidjax.models.backend import traced_for

SPACETIME = {1: "frames", 2: "height", 3: "width"}
AXES = {"video": SPACETIME, "flow": SPACETIME, "features": {1: "frames"}}  # the axes that have receptive fields
POOLS = {"reduce_window_max": "max_pool", "reduce_window_sum": "average_pool"}

Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass
class Layer:
    """A module with its submodules, or a pool.

    Attributes:
        path: names of the modules, outermost first; the path of a pool ends in its window.
        output: shape and dtype of its last result; in a loop, the result of one step.
        fields: receptive field of that output per axis of the input.
        num_params: number of trainable values; running statistics do not count.
        multiply_adds: multiply-adds of convolutions and matrix products, for the whole batch.
    """

    path: tuple[str, ...]
    output: Shape | None = None
    fields: dict[str, Field] = dataclasses.field(default_factory=dict)
    num_params: int = 0
    multiply_adds: int = 0


def layers_of(model: nn.Module, inputs: Mapping[str, Shape]) -> tuple[list[Layer], dict[str, Layer]]:
    """Lists the layers of a network in evaluation mode.

    Args:
        model: the network.
        inputs: shapes of the model inputs by name: `video` and `flow`, float (B, T, H, W, C), or `features`, (B, T, D).

    Returns:
        The layers in the order of execution: first the whole network with the path (), and each module before its
        submodules. Then the network's results by name: the endpoints and "outputs".

    Raises:
        ValueError: for inputs that the network does not take.
    """
    inputs = dict(inputs)
    apply = lambda batch, variables: model.apply(variables, **batch)  # noqa: E731
    with traced_for("tpu"):  # the plain form of each layer; CPUs compute some in another way
        variables = jax.eval_shape(lambda batch: model.init(jax.random.key(0), **batch), inputs)
        jaxpr, returned = jax.make_jaxpr(apply, return_shape=True)(inputs, variables)
    values = [input_value(x.shape, AXES.get(name, {})) if name in AXES else None for name, x in sorted(inputs.items())]
    values += [None] * (len(jaxpr.jaxpr.invars) - len(values))

    layers, pools = {(): Layer(())}, collections.Counter()

    def visit(eqn, values, stack, times):
        path = module_path(stack)
        output = Shape(eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype)
        fields = values[0].fields if values[0] else {}
        for depth in range(len(path) + 1):
            layer = layers.setdefault(path[:depth], Layer(path[:depth]))
            layer.output, layer.fields = output, fields
            layer.multiply_adds += times * multiply_adds(eqn)
        if eqn.primitive.name in POOLS:
            window = "x".join(str(size) for size in eqn.params["window_dimensions"][1:-1])
            pools[path] += 1
            pool = (*path, f"{POOLS[eqn.primitive.name]}_{pools[path] - 1} {window}")
            layers[pool] = Layer(pool, output, fields)

    fields = interpret(jaxpr, values, visit)
    for path, x in traverse_util.flatten_dict(variables.get("params", {})).items():
        for depth in range(len(path)):
            if path[:depth] in layers:
                layers[path[:depth]].num_params += math.prod(x.shape)

    flat, tree = jax.tree.flatten(returned)
    of_returned = [Layer((), x, value.fields if value else {}) for x, value in zip(flat, fields, strict=True)]
    outputs, endpoints = jax.tree.unflatten(tree, of_returned)
    ends = {name: end for name, end in {**endpoints, "outputs": outputs}.items() if isinstance(end, Layer)}

    order = {path: number for number, path in enumerate(layers)}
    in_order = sorted(layers, key=lambda path: [order[path[:depth]] for depth in range(1, len(path) + 1)])
    return [layers[path] for path in in_order], ends


def module_path(stack: str) -> tuple[str, ...]:
    """Drops the network's class and method names: `ResNet/ResNet.stem/conv1` -> ("conv1",)."""
    return tuple(name for name in stack.split("/")[1:] if name and "." not in name)


def multiply_adds(eqn) -> int:
    """Multiply-adds of a convolution or matrix product, padding included; 0 for all other operations.

    A multiply-add is what torchvision's tables count as a FLOP ("GFLOPS"). Bias additions do not count.
    """
    if not eqn.outvars or not hasattr(eqn.outvars[0].aval, "shape"):
        return 0
    size = math.prod(eqn.outvars[0].aval.shape)
    if eqn.primitive.name == "conv_general_dilated":
        kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"]
        return size * math.prod(kernel) // kernel[numbers.rhs_spec[0]]  # kernel size times input channels per group
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return size * math.prod(eqn.invars[0].aval.shape[k] for k in contracted)
    return 0
