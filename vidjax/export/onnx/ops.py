"""Converts a traced JAX function to an ONNX graph, with one or a few ONNX operations per primitive.

    jax.make_jaxpr(function)(shapes) -> closed jaxpr -> Graph -> onnx.ModelProto

The first axis of the inputs may have a free size: trace with `jax.export.symbolic_shape("b, 16, 64, 64, 3")`.
Operations: https://onnx.ai/onnx/operators; primitives: `jax.lax`.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jax.extend.core import ClosedJaxpr, Literal
from onnx import TensorProto, helper

from vidjax.export.onnx.graph import (
    Graph,
    Unsupported,
    is_empty,
    is_free,
    permuted,
    reshaped,
    shape_value,
    size_value,
    type_of,
    value_info,
)
from vidjax.export.onnx.windows import (
    conv_general_dilated,
    dot_general,
    dynamic_slice,
    gather,
    pad,
    pooling,
    rev,
    slice_,
)

OPSET = 18  # the first whose reductions all take axes as an input; ONNX Runtime supports it since 1.14
IR_VERSION = 8  # from the same release


def to_model(closed: ClosedJaxpr, inputs: Sequence[str], outputs: Sequence[str], constants: dict[int, np.ndarray]):
    """Converts a traced function to an ONNX model.

    Args:
        closed: the function. Only one size may be free: the first axis of inputs and outputs.
        inputs, outputs: names of the arguments that stay inputs, in order, and of all results.
        constants: values of the other arguments, by position.

    Raises:
        Unsupported: for a primitive without a lowering; names it.
    """
    graph, names = Graph(), iter(inputs)
    arguments, known = [], []
    for position, variable in enumerate(closed.jaxpr.invars):
        if position in constants:
            known.append(graph.constant(constants[position]))
            continue
        known.append(next(names))
        arguments.append(value_info(known[-1], variable.aval))
        if is_free(variable.aval.shape[0]) and "batch" not in graph.shared:
            size = graph.add("Gather", graph.add("Shape", known[-1]), graph.ints(0))  # (1,)
            graph.shared["batch"] = size, variable.aval.shape[0]
    found = inline(graph, closed, known)
    results = []
    for name, inner, variable in zip(outputs, found, closed.jaxpr.outvars, strict=True):
        graph.nodes.append(helper.make_node("Identity", [inner], [name]))
        results.append(value_info(name, variable.aval))
    proto = helper.make_graph(graph.nodes, "vidjax", arguments, results, graph.constants)
    return helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="vidjax"
    )


def inline(graph: Graph, closed: ClosedJaxpr, inputs: Sequence[str]) -> list[str]:
    """Adds the operations of a jaxpr on the named inputs; returns the names of its results."""
    jaxpr = closed.jaxpr
    names = dict(zip(jaxpr.invars, inputs, strict=True))
    names |= {variable: graph.constant(value) for variable, value in zip(jaxpr.constvars, closed.consts, strict=True)}

    def name_of(atom) -> str:
        return graph.constant(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else names.get(atom, "")

    for equation in needed(jaxpr):
        primitive = equation.primitive.name
        if primitive not in LOWERINGS:
            raise Unsupported(f"the operation {primitive!r}, on {_shapes(equation.invars)}")
        results = LOWERINGS[primitive](graph, equation, *map(name_of, equation.invars))
        results = [results] if isinstance(results, str) else results
        names |= dict(zip(equation.outvars, results, strict=True))
    return [name_of(atom) for atom in jaxpr.outvars]


def needed(jaxpr) -> list:
    """Returns the equations that the results depend on, except those of empty arrays (padding of size 0)."""
    wanted, kept = {atom for atom in jaxpr.outvars if not isinstance(atom, Literal)}, []
    for equation in reversed(jaxpr.eqns):
        if any(variable in wanted and not is_empty(variable.aval) for variable in equation.outvars):
            kept.append(equation)
            wanted.update(atom for atom in equation.invars if not isinstance(atom, Literal))
    return kept[::-1]


def _shapes(atoms) -> str:
    return ", ".join(str(atom.aval.str_short()) for atom in atoms)


# ------------------------------------------------------------------------------------------------------ the primitives


def dim_as_value(graph, equation):
    value = graph.add("Squeeze", size_value(graph, equation.params["dim"]))
    return graph.add("Cast", value, to=type_of(equation.outvars[0].aval.dtype))


def elementwise(operation: str, **attributes) -> Callable:
    return lambda graph, equation, *inputs: graph.add(operation, *inputs, **attributes)


def negated(operation: str) -> Callable:
    return lambda graph, equation, *inputs: graph.add("Not", graph.add(operation, *inputs))


def logical(operation: str) -> Callable:
    """Returns the lowering of a logical operation: on booleans, or bitwise on integers."""

    def lower(graph, equation, *inputs):
        is_bool = equation.outvars[0].aval.dtype == bool
        return graph.add(operation if is_bool else f"Bitwise{operation}", *inputs)

    return lower


def reduction(operation: str) -> Callable:
    def lower(graph, equation, x):
        if not (axes := equation.params["axes"]):
            return x  # ONNX would reduce all axes
        return graph.add(operation, x, graph.ints(*axes), keepdims=0)

    return lower


def called(key: str) -> Callable:
    """Returns the lowering of a primitive that calls the jaxpr in its parameter `key`."""

    def lower(graph, equation, *inputs):
        inner = equation.params[key]
        return inline(graph, inner if hasattr(inner, "consts") else ClosedJaxpr(inner, ()), inputs)

    return lower


def cast(graph, equation, x):
    before, after = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    return x if before == after else graph.add("Cast", x, to=type_of(after))


def integer_pow(graph, equation, x):
    return graph.add("Pow", x, graph.constant(equation.params["y"], equation.invars[0].aval.dtype))


def select_n(graph, equation, which, *cases):
    if len(cases) != 2:
        raise Unsupported("the operation 'select_n' with more than two cases")
    if equation.invars[0].aval.dtype != bool:
        which = graph.add("Cast", which, to=TensorProto.BOOL)
    return graph.add("Where", which, cases[1], cases[0])


def clamp(graph, equation, low, x, high):
    return graph.add("Min", graph.add("Max", x, low), high)


def reshape(graph, equation, x):
    return reshaped(graph, x, equation.outvars[0].aval.shape)


def broadcast_in_dim(graph, equation, x, *sizes):
    """Lowers a broadcast. `sizes` are the free sizes, if any; the shape of the result has them too."""
    shape, before = equation.outvars[0].aval.shape, equation.invars[0].aval.shape
    kept = dict(zip(equation.params["broadcast_dimensions"], before, strict=True))
    with_ones = [kept.get(axis, 1) for axis in range(len(shape))]
    x = reshaped(graph, x, with_ones)
    return x if with_ones == list(shape) else graph.add("Expand", x, shape_value(graph, shape))


def transpose(graph, equation, x):
    return permuted(graph, x, equation.params["permutation"])


def concatenate(graph, equation, *inputs):
    inputs = [x for x, variable in zip(inputs, equation.invars, strict=True) if not is_empty(variable.aval)]
    return graph.add("Concat", *inputs, axis=equation.params["dimension"])


def split(graph, equation, x):
    sizes = equation.params["sizes"]
    parts = graph.add("Split", x, graph.ints(*sizes), outputs=len(sizes), axis=equation.params["axis"])
    return parts if len(sizes) > 1 else [parts]


def stack(graph, equation, *inputs):
    axis = equation.params.get("axis", equation.params.get("dimension"))
    return graph.add("Concat", *(graph.add("Unsqueeze", x, graph.ints(axis)) for x in inputs), axis=axis)


def iota(graph, equation, *sizes):
    """Lowers a range; `sizes` are like those of `broadcast_in_dim`."""
    aval, axis = equation.outvars[0].aval, equation.params["dimension"]
    length = graph.add("Squeeze", size_value(graph, aval.shape[axis]))
    numbers = graph.add("Range", graph.constant(0, np.int64), length, graph.constant(1, np.int64))
    numbers = graph.add("Cast", numbers, to=type_of(aval.dtype))
    shape = [-1 if i == axis else 1 for i in range(len(aval.shape))]
    return graph.add("Expand", graph.add("Reshape", numbers, graph.ints(*shape)), shape_value(graph, aval.shape))


def cumsum(graph, equation, x):
    axis = graph.constant(equation.params["axis"], np.int64)
    return graph.add("CumSum", x, axis, reverse=int(equation.params["reverse"]))


def argmax(graph, equation, x):
    if equation.invars[0].aval.dtype == bool:
        x = graph.add("Cast", x, to=TensorProto.INT32)
    found = graph.add("ArgMax", x, axis=equation.params["axes"][0], keepdims=0)
    return graph.add("Cast", found, to=type_of(equation.outvars[0].aval.dtype))


def scan(graph, equation, *inputs):
    """Lowers a scan to Scan, or to Loop without scanned arrays. The body graph can use the names of the outer one."""
    params = equation.params
    num_consts, num_carry, closed = params["num_consts"], params["num_carry"], params["jaxpr"]
    consts, rest = inputs[:num_consts], inputs[num_consts:]
    body, num_xs = Graph(graph), len(rest) - num_carry
    arguments = [value_info(body.name("in"), variable.aval) for variable in closed.jaxpr.invars[num_consts:]]
    inner = inline(body, closed, [*consts, *(argument.name for argument in arguments)])
    results = [
        value_info(body.add("Identity", name), variable.aval)
        for name, variable in zip(inner, closed.jaxpr.outvars, strict=True)
    ]
    if not num_xs:
        counter = helper.make_tensor_value_info(body.name("step"), TensorProto.INT64, [])
        goes_on = helper.make_tensor_value_info(body.name("before"), TensorProto.BOOL, [])
        still = helper.make_tensor_value_info(body.add("Identity", goes_on.name), TensorProto.BOOL, [])
        arguments, results = [counter, goes_on, *arguments], [still, *results]
    proto = helper.make_graph(body.nodes, body.name("body"), arguments, results)
    num_outputs = len(closed.jaxpr.outvars)
    if num_xs:
        direction = int(params["reverse"])
        found = graph.add(
            "Scan",
            *rest,
            outputs=num_outputs,
            body=proto,
            num_scan_inputs=num_xs,
            scan_input_directions=[direction] * num_xs,
            scan_output_directions=[direction] * (num_outputs - num_carry),
        )
    else:
        length, goes_on = graph.constant(params["length"], np.int64), graph.constant(True, bool)
        found = graph.add("Loop", length, goes_on, *rest, outputs=num_outputs, body=proto)
    return found if num_outputs > 1 else [found]


def complementary_error(graph, equation, x):
    """1 - erf(x)."""
    return graph.add("Sub", graph.constant(1, equation.invars[0].aval.dtype), graph.add("Erf", x))


LOWERINGS = {
    **{name: elementwise(name.capitalize()) for name in "add sub mul div max min pow exp log tanh sqrt".split()},
    **{name: elementwise(name.capitalize()) for name in "abs neg sign floor ceil erf sin cos not".split()},
    "round": elementwise("Round"),
    "logistic": elementwise("Sigmoid"),
    "rsqrt": lambda graph, equation, x: graph.add("Reciprocal", graph.add("Sqrt", x)),
    "erfc": complementary_error,
    "square": lambda graph, equation, x: graph.add("Mul", x, x),
    "rem": elementwise("Mod", fmod=1),
    "eq": elementwise("Equal"),
    "ne": negated("Equal"),
    "lt": elementwise("Less"),
    "le": elementwise("LessOrEqual"),
    "gt": elementwise("Greater"),
    "ge": elementwise("GreaterOrEqual"),
    "and": logical("And"),
    "or": logical("Or"),
    "xor": logical("Xor"),
    "integer_pow": integer_pow,
    "select_n": select_n,
    "clamp": clamp,
    "convert_element_type": cast,
    "copy": lambda graph, equation, x: x,
    "copy_p": lambda graph, equation, x: x,
    "stop_gradient": lambda graph, equation, x: x,
    "optimization_barrier": lambda graph, equation, *inputs: list(inputs),
    "jit": called("jaxpr"),
    "pjit": called("jaxpr"),
    "closed_call": called("call_jaxpr"),
    "remat": called("jaxpr"),
    "checkpoint": called("jaxpr"),
    "remat2": called("jaxpr"),
    "custom_jvp_call": called("call_jaxpr"),
    "custom_vjp_call": called("call_jaxpr"),
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "broadcast_in_dim": broadcast_in_dim,
    "transpose": transpose,
    "concatenate": concatenate,
    "split": split,
    "stack": stack,
    "slice": slice_,
    "rev": rev,
    "pad": pad,
    "iota": iota,
    "dim_as_value": dim_as_value,
    "cumsum": cumsum,
    "argmax": argmax,
    "reduce_sum": reduction("ReduceSum"),
    "reduce_max": reduction("ReduceMax"),
    "reduce_min": reduction("ReduceMin"),
    "reduce_prod": reduction("ReduceProd"),
    "dot_general": dot_general,
    "conv_general_dilated": conv_general_dilated,
    "reduce_window_max": pooling("MaxPool"),
    "reduce_window_sum": pooling("AveragePool"),
    "scan": scan,
    "gather": gather,
    "dynamic_slice": dynamic_slice,
}
