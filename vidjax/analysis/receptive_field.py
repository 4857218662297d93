"""Which frames and pixels each element of a network's outputs can depend on, from the program that JAX traces.

The receptive field of a stack of layers follows from their kernels, strides, dilations and padding (Araujo et al.,
"Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). Here it is not derived layer by layer but
by walking over the jaxpr: for each axis of each array, along which axis of the input it runs, and which input positions
element i of it can depend on, as an interval that moves with i. That holds for any network, and for a convolution
however it is computed. No array is made.

Where a rule would be needed that is not here (sorting, indexing by numbers that are only known later), the whole
input is assumed, so that a field may be too large but never too small.
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
    """The fields of all that a function of one array returns.

    Args:
        function: of an array; may return any tree of arrays.
        x: shape and dtype of the input; no array is needed.
        names: the axes of x to follow, and what to call them: {1: "frames", 2: "height", 3: "width"}.

    Returns:
        The tree of `function`'s outputs with a dict of `Field`s by name for each array; empty for one that does not
        depend on x.
    """
    with traced_for("tpu"):  # layers as they are defined: on CPUs some are computed in another way
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
    """Walks over a program in the order of execution.

    Args:
        closed: the program.
        inputs: of its arguments.
        visit: called as visit(eqn, values, stack, times) for each operation that holds no other program: `values` are
            those of its outputs, `stack` is the path of names of modules and scopes that it is in, `times` how often
            it is done. Of a conditional all branches are visited, and the body of a `while`, of which nobody knows how
            often it runs, counts once.
        stack, times: of the program itself.

    Returns:
        Those of its outputs.
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
    """The programs that an operation holds: the function that a jit calls, the body of a loop."""
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
    """The rule for one operation: values of its inputs -> values of its outputs."""
    name, programs = eqn.primitive.name, programs_in(eqn)
    if name == "scan":
        return _scan(eqn, values, visit, stack, times)
    if name == "cond":
        branches = [interpret(branch, values[1:], visit, stack, times) for branch in programs]
        outputs = [join(of_output) for of_output in zip(*branches, strict=True)]
        return [join([value, all_of(values[0], var)]) for value, var in zip(outputs, eqn.outvars, strict=True)]
    if name in CALLS and len(getattr(programs[0], "jaxpr", programs[0]).invars) == len(values):
        return interpret(programs[0], values, visit, stack, times)
    for program in programs:  # a while loop, or one with a rule of its own: only to visit what is in it
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
    """A loop over the first axis of some inputs, with a carry through which a step sees all steps before it.

    Within the body, the scanned axis is in no array, and its field is that of iteration i.
    """
    params, body, length = eqn.params, eqn.params["jaxpr"], eqn.params["length"]
    jaxpr = getattr(body, "jaxpr", body)
    # Scanned arrays have one axis more outside than inside (the parameters that count them differ between versions)
    num_carry = sum(o.aval.ndim == i.aval.ndim for o, i in zip(eqn.outvars, jaxpr.outvars, strict=True))
    num_scanned = sum(o.aval.ndim > i.aval.ndim for o, i in zip(eqn.invars, jaxpr.invars, strict=True))
    num_consts = len(values) - num_carry - num_scanned
    consts, carry, scanned = values[:num_consts], values[num_consts:][:num_carry], values[num_consts + num_carry :]
    names = {f.name for x in scanned if x for f in x.axes[0]} - {None}
    running = names if len(names) == 1 and all(len(x.axes[0]) == 1 for x in scanned if x) else set()
    if any(x and x.axis_of(name) is not None for x in (*consts, *carry) for name in running):
        running = set()  # then iteration i stands for more than position i
    scanned = [x and (x if running else see_all(x, [0])) for x in scanned]
    scanned = [x and Value(x.axes[1:], x.fields) for x in scanned]
    direction = -1 if params["reverse"] else 1

    def in_next(value):
        """What an iteration left, as seen from the next one."""
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
        # What grows from one iteration to the next grows without end
        carry = [_widened(old, new) for old, new in zip(carry, after, strict=True)] if attempt else after
    else:
        carry = [x and _without_bounds(x) for x in after]
    outputs = interpret(body, [*consts, *carry, *scanned], visit, stack, times * length)

    def after_last(value):
        """The carry that the loop returns."""
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
    """`new`, without the bounds that differ from those of `old`."""
    if old is None or new is None:
        return new
    fields = {}
    for name, (step, first, last) in new.fields.items():
        before = old.fields.get(name, new.fields[name])
        fields[name] = Field(
            step, first if first == before.first else -math.inf, last if last == before.last else math.inf
        )
    return Value(new.axes, fields)
