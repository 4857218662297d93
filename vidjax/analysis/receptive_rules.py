"""The rules of `receptive_field`: how the outputs of each operation depend on its inputs.

Almost all rules use `along`: element j of an axis depends on elements stride * j + first, ..., stride * j + last of the
input's axis. A rule takes the operation and the values of its inputs. It returns the values of its outputs, or None if
it does not apply.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Field(NamedTuple):
    """A receptive field: element i depends on input positions step * i + first, ..., step * i + last, both included.

    The field is theoretical: positions before 0 and after the end are padding, whatever the input's size. An infinite
    bound means no limit: a recurrent network sees the whole past. A step of 0 means that the array has no such axis
    (any more): after a mean over time, every element depends on all frames.

    A network whose output i represents the time step * i is causal if last <= 0.
    """

    step: int
    first: float
    last: float

    @property
    def size(self) -> float:
        return self.last - self.first + 1


class Factor(NamedTuple):
    """A part of an axis: reshaping (B, T) to B * T gives an axis of two factors. `name`: the input axis it follows."""

    length: int
    name: str | None = None


class Value(NamedTuple):
    """The factors of each axis of an array, and its field per input axis. None in its place means no dependence."""

    axes: tuple[tuple[Factor, ...], ...]
    fields: dict[str, Field]

    def axis_of(self, name: str) -> int | None:
        return next((k for k, axis in enumerate(self.axes) if any(factor.name == name for factor in axis)), None)


def input_value(shape: Sequence[int], names: Mapping[int, str]) -> Value:
    """Returns the value of the network's input: element i sees position i."""
    axes = tuple((Factor(length, names.get(k)),) for k, length in enumerate(shape))
    return Value(axes, {name: Field(1, 0, 0) for name in names.values()})


def join(values: Sequence[Value | None]) -> Value | None:
    """Returns the value of an array whose elements depend on the elements at the same place in several arrays."""
    values = [value for value in values if value is not None]
    if len(values) < 2:
        return values[0] if values else None
    axes = []
    for of_axis in zip(*(value.axes for value in values), strict=True):
        named = {axis for axis in of_axis if any(factor.name for factor in axis)}
        axes.append(named.pop() if len(named) == 1 else (Factor(math.prod(f.length for f in of_axis[0])),))
    fields = {}
    for name in sorted(set().union(*(value.fields for value in values))):
        having = [value for value in values if name in value.fields]
        places = {(value.axis_of(name), value.fields[name].step) for value in having}
        if len(places) > 1 or (place := places.pop()[0]) is not None and all(f.name != name for f in axes[place]):
            axes = [tuple(Factor(f.length, f.name if f.name != name else None) for f in axis) for axis in axes]
            ends, step = [extent(value, name) for value in having], 0
        else:
            ends, step = [value.fields[name] for value in having], having[0].fields[name].step
        fields[name] = Field(step, min(field.first for field in ends), max(field.last for field in ends))
    return Value(tuple(axes), fields)


def along(x: Value, k: int, length: int, stride: int, first: float, last: float) -> Value:
    """Gives axis k a new length; its element j depends on elements stride * j + first, ..., stride * j + last."""
    old = math.prod(factor.length for factor in x.axes[k])
    if (length, stride, first, last) == (old, 1, 0, 0):
        return x
    names = [factor.name for factor in x.axes[k] if factor.name]
    if len(names) != 1 or any(factor.length > 1 and not factor.name for factor in x.axes[k]):
        x, names = see_all(x, [k]), [None]
    fields = dict(x.fields)
    if names[0]:
        step, *bounds = x.fields[names[0]]
        reach = sorted((step * first, step * last))
        fields[names[0]] = Field(step * stride, bounds[0] + reach[0], bounds[1] + reach[1])
    return Value((*x.axes[:k], (Factor(length, names[0]),), *x.axes[k + 1 :]), fields)


def extent(x: Value, name: str) -> Field:
    """Returns the union of the fields of all elements of an array, along one input axis."""
    step, first, last = x.fields[name]
    if not step:
        return x.fields[name]
    lengths = [factor.length for axis in x.axes for factor in axis if factor.name == name]
    if not lengths:  # the axis is that of an outer loop
        return Field(0, -math.inf, math.inf)
    reach = step * (lengths[0] - 1)
    return Field(0, first + min(reach, 0), last + max(reach, 0))


def see_all(x: Value, ks: Sequence[int]) -> Value:
    """Makes every element depend on all positions of the input axes that the array's axes ks follow."""
    lost = {factor.name for k in ks for factor in x.axes[k]} - {None}
    if not lost:
        return x
    axes = tuple(tuple(Factor(f.length, None if f.name in lost else f.name) for f in axis) for axis in x.axes)
    return Value(axes, {name: extent(x, name) if name in lost else field for name, field in x.fields.items()})


def all_of(x: Value | None, var) -> Value | None:
    """Returns the value of an array like `var` that depends on all of x."""
    if x is None:
        return None
    axes = tuple((Factor(length),) for length in getattr(var.aval, "shape", ()))
    return Value(axes, {name: extent(x, name) for name in x.fields})


def broadcast_scalar(x: Value | None, shape: Sequence[int]) -> Value | None:
    return x if x is None or len(x.axes) == len(shape) else Value(tuple((Factor(n),) for n in shape), x.fields)


# --------------------------------------------------------------------------------------------------------------- rules


def _convolution(eqn, values):
    """Output j sees s * j - padding, ..., s * j - padding + dilation * (kernel - 1) in space, and all channels."""
    x, kernel = values
    if kernel is not None or eqn.params["batch_group_count"] != 1 or any(d != 1 for d in eqn.params["lhs_dilation"]):
        return None
    numbers, shape, size = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape, eqn.invars[1].aval.shape
    x = see_all(x, [numbers.lhs_spec[1]])
    settings = (eqn.params[key] for key in ("window_strides", "rhs_dilation", "padding"))
    spatial = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], *settings, strict=True)
    for k, k_kernel, k_out, stride, dilation, (before, _) in spatial:
        x = along(x, k, shape[k_out], stride, -before, dilation * (size[k_kernel] - 1) - before)
    axes = [None] * len(shape)
    for k, k_out in zip(numbers.lhs_spec, numbers.out_spec, strict=True):
        axes[k_out] = x.axes[k]
    axes[numbers.out_spec[1]] = (Factor(shape[numbers.out_spec[1]]),)
    return [Value(tuple(axes), x.fields)]


def _window(eqn, values):
    """A pool: like a convolution along each axis."""
    if len(values) > 1 or any(d != 1 for d in eqn.params["base_dilation"]):
        return None
    x, keys = values[0], ("window_dimensions", "window_strides", "padding", "window_dilation")
    for k, (size, stride, (before, _), dilation) in enumerate(zip(*(eqn.params[key] for key in keys), strict=True)):
        x = along(x, k, eqn.outvars[0].aval.shape[k], stride, -before, dilation * (size - 1) - before)
    return [x]


def _pad(eqn, values):
    x = values[0]
    if x is None or values[1] is not None or any(interior for _, _, interior in eqn.params["padding_config"]):
        return None
    for k, (before, _, _) in enumerate(eqn.params["padding_config"]):
        x = along(x, k, eqn.outvars[0].aval.shape[k], 1, -int(before), -int(before))
    return [x]


def _slice(eqn, values):
    x, starts = values[0], eqn.params["start_indices"]
    for k, (start, stride) in enumerate(zip(starts, eqn.params["strides"] or (1,) * len(starts), strict=True)):
        x = along(x, k, eqn.outvars[0].aval.shape[k], stride, start, start)
    return [x]


def _split(eqn, values):
    axis, start, outputs = eqn.params["axis"], 0, []
    for size in eqn.params["sizes"]:
        outputs.append(along(values[0], axis, int(size), 1, start, start))
        start += int(size)
    return outputs


def _reverse(eqn, values):
    x = values[0]
    for k in eqn.params["dimensions"]:
        length = eqn.outvars[0].aval.shape[k]
        x = along(x, k, length, -1, length - 1, length - 1)
    return [x]


def _concatenate(eqn, values):
    axis, length = eqn.params["dimension"], eqn.outvars[0].aval.shape[eqn.params["dimension"]]
    start, moved = 0, []
    for atom, value in zip(eqn.invars, values, strict=True):
        moved.append(value and along(value, axis, length, 1, -start, -start))
        start += atom.aval.shape[axis]
    return [join(moved)]


def _cumulative(eqn, values):
    axis, reverse = eqn.params["axis"], eqn.params["reverse"]
    first, last = (0, math.inf) if reverse else (-math.inf, 0)
    return [along(values[0], axis, eqn.outvars[0].aval.shape[axis], 1, first, last)]


def _reduce(eqn, values):
    if len(values) > 1:
        return None
    removed = eqn.params["dimensions" if eqn.primitive.name == "squeeze" else "axes"]
    x = see_all(values[0], removed)
    return [Value(tuple(axis for k, axis in enumerate(x.axes) if k not in removed), x.fields)]


def _transpose(eqn, values):
    return [Value(tuple(values[0].axes[k] for k in eqn.params["permutation"]), values[0].fields)]


def _broadcast(eqn, values):
    x, shape, places = values[0], eqn.params["shape"], eqn.params["broadcast_dimensions"]
    if x is None:
        return None
    repeated = [k for k, place in enumerate(places) if eqn.invars[0].aval.shape[k] != shape[place]]
    x = see_all(x, repeated)
    axes = [(Factor(length),) for length in shape]
    for k, place in enumerate(places):
        if k not in repeated:
            axes[place] = x.axes[k]
    return [Value(tuple(axes), x.fields)]


def _reshape(eqn, values):
    """Regroups the factors. A factor that is split over several axes loses its name: every element sees all of it."""
    shape = eqn.outvars[0].aval.shape
    factors = [factor for axis in values[0].axes for factor in axis]
    if any(len(axis) > 1 for axis in values[0].axes):  # the place of length-1 axes among merged ones is unknown
        factors = [factor for factor in factors if factor.length > 1 or factor.name]
    groups, lost = [], set()
    for k, length in enumerate(shape):
        group, product = [], 1
        while product < length:
            factor = factors.pop(0)
            if length % (product * factor.length):  # a part of this factor belongs to the next axis
                part = math.gcd(factor.length, length // product)
                if part == 1 or factor.name:
                    lost.update(f.name for f in (factor, *group))
                if part == 1:
                    return [all_of(values[0], eqn.outvars[0])]
                factors.insert(0, Factor(factor.length // part))
                factor = Factor(part)
            group.append(factor)
            product *= factor.length
        # Keep one length-1 factor for each length-1 axis that follows; the others stay with this axis
        ones = next((i for i, factor in enumerate(factors) if factor.length > 1), len(factors))
        wanted = next((i for i, n in enumerate(shape[k + 1 :]) if n > 1), len(shape) - k - 1)
        take = max(ones - wanted, 1 if length == 1 and ones else 0)
        groups.append(tuple(group + factors[:take]) or (Factor(1),))
        factors = factors[take:]
    value = Value(tuple(groups), values[0].fields)
    if lost := lost - {None}:
        value = Value(value.axes, {**value.fields, **{name: extent(values[0], name) for name in lost}})
    return [value]


def _matrix_product(eqn, values):
    """Each output sees all of the contracted axes. The free axes of the other operand are new."""
    (contract, batch), shape = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape
    free = [
        [k for k in range(len(atom.aval.shape)) if k not in contract[i] and k not in batch[i]]
        for i, atom in enumerate(eqn.invars)
    ]
    placed = []
    for i, value in enumerate(values):
        if value is None:
            continue
        value = see_all(value, contract[i])
        axes = [(Factor(length),) for length in shape]
        start = len(batch[0]) + (len(free[0]) if i else 0)
        for place, k in [*enumerate(batch[i]), *enumerate(free[i], start)]:
            axes[place] = value.axes[k]
        placed.append(Value(tuple(axes), value.fields))
    return [join(placed)]


def _take(eqn, values):
    """Indexing: axes taken in full keep their place; each output sees all of the other axes."""
    x, indices = values[0], values[1:]
    if x is None or any(indices):
        return None
    taken, shape = eqn.params["slice_sizes"], eqn.outvars[0].aval.shape
    kept, places = range(len(x.axes)), range(len(shape))
    if eqn.primitive.name == "gather":
        numbers = eqn.params["dimension_numbers"]
        left_out = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
        kept, places = [k for k in kept if k not in left_out], numbers.offset_dims
    full = {k: p for k, p in zip(kept, places, strict=True) if taken[k] == eqn.invars[0].aval.shape[k]}
    x = see_all(x, [k for k in range(len(x.axes)) if k not in full])
    axes = [(Factor(length),) for length in shape]
    for k, place in full.items():
        axes[place] = x.axes[k]
    return [Value(tuple(axes), x.fields)]


RULES = {
    "conv_general_dilated": _convolution,
    "reduce_window*": _window,
    "pad": _pad,
    "slice": _slice,
    "split": _split,
    "rev": _reverse,
    "concatenate": _concatenate,
    "cum*": _cumulative,
    "reduce_*": _reduce,
    "arg*": _reduce,
    "squeeze": _reduce,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "dot_general": _matrix_product,
    "gather": _take,
    "dynamic_slice": _take,
}
