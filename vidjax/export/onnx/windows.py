"""Lowerings of primitives over parts of arrays: slices, padding, convolutions, pools, gathers, matrix products."""

import string
from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from vidjax.export.onnx.graph import Unsupported, inverse, is_free, permuted, reshaped


def slice_(graph, equation, x):
    shape = equation.invars[0].aval.shape
    starts, ends = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * len(shape)
    cut = [i for i, size in enumerate(shape) if (starts[i], strides[i]) != (0, 1) or ends[i] != size]
    if any(is_free(ends[i]) and ends[i] != shape[i] for i in cut):
        raise Unsupported("the operation 'slice' to a free size")
    ends = [np.iinfo(np.int64).max if is_free(end) else end for end in ends]
    starts, ends, steps = (graph.ints(*(values[i] for i in cut)) for values in (starts, ends, strides))
    return graph.add("Slice", x, starts, ends, graph.ints(*cut), steps)


def rev(graph, equation, x):
    return reversed_(graph, x, equation.params["dimensions"])


def reversed_(graph, x, axes):
    starts, ends, steps = ([value] * len(axes) for value in (-1, np.iinfo(np.int64).min, -1))
    return graph.add("Slice", x, *(graph.ints(*values) for values in (starts, ends, axes, steps)))


def pad(graph, equation, x, value):
    low, high, interior = zip(*equation.params["padding_config"], strict=True)
    if any(interior):
        raise Unsupported("the operation 'pad' between the elements")
    return graph.add("Pad", x, graph.ints(*low, *high), value)  # negative padding crops, in XLA and ONNX


def dot_general(graph, equation, a, b):
    (a_sums, b_sums), (a_batch, b_batch) = equation.params["dimension_numbers"]
    a_rank, b_rank = (len(variable.aval.shape) for variable in equation.invars)
    if (a_sums, b_sums, a_batch, b_rank) == ((a_rank - 1,), (0,), (), 2):
        return graph.add("MatMul", a, b)
    letters = iter(string.ascii_lowercase)
    a_names = [next(letters) for _ in range(a_rank)]
    b_names = [next(letters) for _ in range(b_rank)]
    for i, j in zip((*a_sums, *a_batch), (*b_sums, *b_batch), strict=True):
        b_names[j] = a_names[i]
    out = [a_names[i] for i in a_batch]
    out += [name for i, name in enumerate(a_names) if i not in (*a_sums, *a_batch)]
    out += [name for i, name in enumerate(b_names) if i not in (*b_sums, *b_batch)]
    return graph.add("Einsum", a, b, equation=f"{''.join(a_names)},{''.join(b_names)}->{''.join(out)}")


def conv_general_dilated(graph, equation, x, kernel):
    params = equation.params
    if params["batch_group_count"] != 1:
        raise Unsupported("the operation 'conv_general_dilated' with groups of the batch")
    if any(size != 1 for size in params["lhs_dilation"]):
        return transposed_conv(graph, equation, x, kernel)
    numbers = params["dimension_numbers"]
    before, after = zip(*params["padding"], strict=True)
    y = graph.add(
        "Conv",
        permuted(graph, x, numbers.lhs_spec),
        permuted(graph, kernel, numbers.rhs_spec),
        strides=params["window_strides"],
        pads=[*before, *after],
        dilations=params["rhs_dilation"],
        group=params["feature_group_count"],
    )
    return permuted(graph, y, inverse(numbers.out_spec))


def transposed_conv(graph, equation, x, kernel):
    """Lowers a convolution of an input with zeros between its pixels: the transpose of one with the reversed kernel."""
    params, numbers = equation.params, equation.params["dimension_numbers"]
    outputs, inputs, *space = numbers.rhs_spec
    sizes = [equation.invars[1].aval.shape[i] for i in space]
    pads = [
        size - 1 - pad for side in zip(*params["padding"], strict=True) for size, pad in zip(sizes, side, strict=True)
    ]
    others = (*params["window_strides"], *params["rhs_dilation"], params["feature_group_count"])
    if any(value != 1 for value in others) or min(pads) < 0:
        raise Unsupported("the operation 'conv_general_dilated' with a dilated input and strides, dilation or groups")
    y = graph.add(
        "ConvTranspose",
        permuted(graph, x, numbers.lhs_spec),
        permuted(graph, reversed_(graph, kernel, space), [inputs, outputs, *space]),
        strides=params["lhs_dilation"],
        pads=pads,
    )
    return permuted(graph, y, inverse(numbers.out_spec))


def pooling(operation: str) -> Callable:
    """Returns the lowering of a pool over up to three axes. ONNX pools the last axes of (N, C, ...)."""

    def lower(graph, equation, x):
        params, shape = equation.params, equation.invars[0].aval.shape
        settings = zip(params["window_dimensions"], params["window_strides"], params["padding"], strict=True)
        axes = [i for i, (window, stride, pads) in enumerate(settings) if window > 1 or stride > 1 or any(pads)]
        dilated = any(size != 1 for key in ("base_dilation", "window_dilation") for size in params[key])
        if dilated or not 1 <= len(axes) <= 3 or len(shape) < 2:
            raise Unsupported(f"the operation {equation.primitive.name!r} with windows {params['window_dimensions']}")
        order = [i for i in range(len(shape)) if i not in axes] + axes
        x = permuted(graph, x, order)
        x = graph.add("Reshape", x, graph.ints(-1, 1, *(shape[i] for i in axes)))
        window = [params["window_dimensions"][i] for i in axes]
        before, after = zip(*(params["padding"][i] for i in axes), strict=True)
        strides = [params["window_strides"][i] for i in axes]
        extra = {"count_include_pad": 1} if operation == "AveragePool" else {}
        y = graph.add(operation, x, kernel_shape=window, strides=strides, pads=[*before, *after], **extra)
        if operation == "AveragePool":
            y = graph.add("Mul", y, graph.constant(np.prod(window), equation.invars[0].aval.dtype))
        out = equation.outvars[0].aval.shape
        return permuted(graph, reshaped(graph, y, [out[i] for i in order]), inverse(order))

    return lower


def gather(graph, equation, x, indices):
    """Lowers indexing with clipped indices, `x[:, i, j]`, and a slice from an index, `x[i : i + 3]`."""
    numbers, shape = equation.params["dimension_numbers"], equation.invars[0].aval.shape
    sizes, picked, batched = equation.params["slice_sizes"], numbers.start_index_map, numbers.operand_batching_dims
    whole = [i for i in range(len(shape)) if i not in (*picked, *batched)]
    if len(equation.invars[1].aval.shape) == 1:
        return slice_from(graph, equation, x, indices, picked)
    leading = tuple(numbers.start_indices_batching_dims) == tuple(range(len(batched)))
    if not leading or any(sizes[i] != shape[i] for i in whole) or any(sizes[i] != 1 for i in picked):
        raise Unsupported(f"the operation 'gather' of {sizes} with {numbers}")
    x = permuted(graph, x, [*batched, *picked, *whole])
    dtype = equation.invars[1].aval.dtype
    last = graph.constant([shape[i] - 1 for i in picked], dtype)
    indices = graph.add("Min", graph.add("Max", indices, graph.constant(0, dtype)), last)
    y = graph.add("GatherND", x, graph.add("Cast", indices, to=TensorProto.INT64), batch_dims=len(batched))
    out = equation.outvars[0].aval.shape
    sources = [i for i in range(len(shape)) if i not in (*numbers.collapsed_slice_dims, *batched)]
    kept = [axis for axis, i in zip(numbers.offset_dims, sources, strict=True) if i in whole]
    rest = [axis for axis in range(len(out)) if axis not in numbers.offset_dims]
    y = permuted(graph, y, inverse([*rest, *kept]))
    return y if len(rest) + len(kept) == len(out) else reshaped(graph, y, out)


def slice_from(graph, equation, x, starts, axes):
    """Adds a slice of `slice_sizes` from the starts (k,) of k axes; starts are clipped to fit."""
    shape, sizes, dtype = equation.invars[0].aval.shape, equation.params["slice_sizes"], TensorProto.INT64
    last = graph.ints(*(shape[i] - sizes[i] for i in axes))
    starts = graph.add("Min", graph.add("Max", graph.add("Cast", starts, to=dtype), graph.ints(0)), last)
    ends = graph.add("Add", starts, graph.ints(*(sizes[i] for i in axes)))
    return reshaped(graph, graph.add("Slice", x, starts, ends, graph.ints(*axes)), equation.outvars[0].aval.shape)


def dynamic_slice(graph, equation, x, *starts):
    starts = [graph.add("Reshape", start, graph.ints(1)) for start in starts]
    moved = [i for i, size in enumerate(equation.params["slice_sizes"]) if size != equation.invars[0].aval.shape[i]]
    if not moved:
        return x
    starts = graph.add("Concat", *(graph.add("Cast", starts[i], to=TensorProto.INT64) for i in moved), axis=0)
    return slice_from(graph, equation, x, starts, moved)
