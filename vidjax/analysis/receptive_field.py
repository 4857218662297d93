"""Receptive fields: the frames and pixels that each element of a network's outputs can depend on.

The receptive field of a stack of layers follows from their kernels, strides, dilations and padding (Araujo et al.,
"Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). This module walks over the jaxpr and
tracks two things for each axis of each array: the input axis that it follows, and the interval of input positions that
element i depends on. This works for any network, and for every way to compute a convolution. It creates no arrays.

An operation without a rule (such as sorting, or indexing by computed numbers) counts as depending on the whole input.
So a field may be too large, but never too small.
"""

import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from vidjax.analysis.receptive_rules import (
    RULES,
    Factor,
    Field,
    Value,
    all_of,
    broadcast_scalar,
    input_value,
    join,
    see_all,
)
from vidjax.models.backend import traced_for


def receptive_fields(function: Callable, x: jax.ShapeDtypeStruct, names: Mapping[int, str]):
    """Computes the receptive fields of the outputs of a function of one array.

    Args:
        function: takes an array and returns any tree of arrays.
        x: shape and dtype of the input.
        names: the axes of x to follow, with a name for each: {1: "frames", 2: "height", 3: "width"}.

    Returns:
        The tree of `function`'s outputs, with a dict of `Field`s by name in place of each array. The dict is empty for
        an output that does not depend on x.
    """
    with traced_for("tpu"):  # the plain form of each layer; CPUs compute some in another way
        jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(x)
    outputs = interpret(jaxpr, [input_value(x.shape, names)])
    return jax.tree.unflatten(jax.tree.structure(shapes), [value.fields if value else {} for value in outputs])


def interpret(
    closed: ClosedJaxpr | Jaxpr,
    inputs: Sequence[Value | None],
    visit: Callable | None = None,
    stack: str = "",
    times: int = 1,
) -> list[Value | None]:
    """Walks over a program in the order of execution and propagates `Value`s.

    Args:
        closed: the program.
        inputs: values of its arguments.
        visit: called as visit(eqn, values, stack, times) for each operation that contains no other program. `values`
            are the values of its outputs, `stack` is its path of module and scope names, `times` the number of its
            executions. All branches of a conditional are visited. The body of a `while`, whose number of iterations is
            unknown, counts once.
        stack, times: path and number of executions of the program itself.

    Returns:
        The values of its outputs.
    """
    jaxpr = getattr(closed, "jaxpr", closed)
    known = dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom):
        return None if isinstance(atom, Literal) else known.get(atom)

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        inner = "/".join(filter(None, (stack, str(eqn.source_info.name_stack))))
        outputs = _apply(eqn, values, visit, inner, times)
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def programs_in(eqn) -> list[ClosedJaxpr | Jaxpr]:
    """Returns the programs inside an operation, such as the function of a jit or the body of a loop."""
    found = [p for value in eqn.params.values() for p in (value if isinstance(value, tuple | list) else [value])]
    return [p for p in found if isinstance(p, ClosedJaxpr | Jaxpr)]


# ---------------------------------------------------------------------------------------------------------- operations

ELEMENTWISE = set(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp "
    "convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma "
    "igammac imag integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter not or pow "
    "real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin "
    "sinh sqrt square sub tan tanh xor".split()
)


CALLS = set("jit pjit closed_call core_call remat remat2 checkpoint custom_jvp_call custom_vjp_call".split())


def _apply(eqn, values: list[Value | None], visit: Callable | None, stack: str, times: int) -> list[Value | None]:
    """Applies the rule for one operation: values of its inputs -> values of its outputs."""
    name, programs = eqn.primitive.name, programs_in(eqn)
    if name == "scan":
        return _scan(eqn, values, visit, stack, times)
    if name == "cond":
        branches = [interpret(branch, values[1:], visit, stack, times) for branch in programs]
        outputs = [join(of_output) for of_output in zip(*branches, strict=True)]
        return [join([value, all_of(values[0], var)]) for value, var in zip(outputs, eqn.outvars, strict=True)]
    if name in CALLS and len(getattr(programs[0], "jaxpr", programs[0]).invars) == len(values):
        return interpret(programs[0], values, visit, stack, times)
    for program in programs:  # a while loop or another operation with its own rule: only visit the contents
        interpret(program, [None] * len(getattr(program, "jaxpr", program).invars), visit, stack, times)
    if not any(values):
        outputs = [None] * len(eqn.outvars)
    elif name in ELEMENTWISE:
        outputs = [join([broadcast_scalar(value, eqn.outvars[0].aval.shape) for value in values])]
    elif name == "optimization_barrier":
        outputs = list(values)
    else:
        rule = next((rule for key, rule in RULES.items() if fnmatch.fnmatchcase(name, key)), None)
        outputs = rule(eqn, values) if rule else None
    if outputs is None:  # no rule
        outputs = [join([all_of(value, var) for value in values]) for var in eqn.outvars]
    if visit:
        visit(eqn, outputs, stack, times)
    return outputs


def _scan(eqn, values, visit, stack, times):
    """Propagates values through a loop over the first axis of some inputs, whose carry passes on earlier steps.

    Arrays in the body lack the scanned axis; fields along that axis are those of iteration i.
    """
    params, body, length = eqn.params, eqn.params["jaxpr"], eqn.params["length"]
    jaxpr = getattr(body, "jaxpr", body)
    # A scanned array loses one axis in the body. (The parameters that count these arrays differ between versions.)
    num_carry = sum(o.aval.ndim == i.aval.ndim for o, i in zip(eqn.outvars, jaxpr.outvars, strict=True))
    num_scanned = sum(o.aval.ndim > i.aval.ndim for o, i in zip(eqn.invars, jaxpr.invars, strict=True))
    num_consts = len(values) - num_carry - num_scanned
    consts, carry, scanned = values[:num_consts], values[num_consts:][:num_carry], values[num_consts + num_carry :]
    names = {f.name for x in scanned if x for f in x.axes[0]} - {None}
    running = names if len(names) == 1 and all(len(x.axes[0]) == 1 for x in scanned if x) else set()
    if any(x and x.axis_of(name) is not None for x in (*consts, *carry) for name in running):
        running = set()  # iteration i depends on more than position i
    scanned = [x and (x if running else see_all(x, [0])) for x in scanned]
    scanned = [x and Value(x.axes[1:], x.fields) for x in scanned]
    direction = -1 if params["reverse"] else 1

    def in_next(value):
        """The carry of one iteration, from the position of the next."""
        if value is None:
            return None
        fields = dict(value.fields)
        for name in running & set(fields):
            step, first, last = fields[name]
            fields[name] = Field(step, first - direction * step, last - direction * step)
        return Value(value.axes, fields)

    for attempt in range(8):
        outputs = interpret(body, [*consts, *carry, *scanned])
        after = [join([old, in_next(new)]) for old, new in zip(carry, outputs, strict=False)]
        if after == carry:
            break
        # A bound that grows from one iteration to the next has no limit
        carry = [_widened(old, new) for old, new in zip(carry, after, strict=True)] if attempt else after
    else:
        carry = [x and _without_bounds(x) for x in after]
    outputs = interpret(body, [*consts, *carry, *scanned], visit, stack, times * length)

    def after_last(value):
        """The carry after the last iteration."""
        fields = dict(value.fields)
        for name in running & set(fields):
            step, first, last = fields[name]
            at = 0 if params["reverse"] else step * (length - 1)
            fields[name] = Field(0, at + first, at + last)
        return Value(value.axes, fields)

    def stacked(value):
        along = next((name for name in running & set(value.fields) if value.fields[name].step), None)
        return Value(((Factor(length, along),), *value.axes), value.fields)

    finals, stacks = outputs[:num_carry], outputs[num_carry:]
    return [x and after_last(x) for x in finals] + [x and stacked(x) for x in stacks]


def _without_bounds(x: Value) -> Value:
    axes = tuple((Factor(math.prod(factor.length for factor in axis)),) for axis in x.axes)
    return Value(axes, {name: Field(0, -math.inf, math.inf) for name in x.fields})


def _widened(old: Value | None, new: Value | None) -> Value | None:
    """Returns `new` with infinite bounds in place of those that differ from `old`."""
    if old is None or new is None:
        return new
    fields = {}
    for name, (step, first, last) in new.fields.items():
        before = old.fields.get(name, new.fields[name])
        fields[name] = Field(
            step, first if first == before.first else -math.inf, last if last == before.last else math.inf
        )
    return Value(new.axes, fields)
