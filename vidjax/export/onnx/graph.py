"""Builds an ONNX graph: its nodes, constants and names, and shapes with a free batch size."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Unsupported(ValueError):
    """A primitive without a lowering."""


class Graph:
    """The nodes, constants and names of an ONNX graph under construction; `outer` is the graph around a loop body."""

    def __init__(self, outer: "Graph | None" = None):
        self.nodes, self.constants, self.outer = [], [], outer
        self.shared = outer.shared if outer else {"names": 0, "constants": {}, "root": self}

    def name(self, hint: str = "x") -> str:
        self.shared["names"] += 1
        return f"{hint}_{self.shared['names']}"

    def add(self, operation: str, *inputs: str, outputs: int = 1, **attributes):
        """Adds a node; returns the name of its output, or a list of names if there are several."""
        names = [self.name(operation) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operation, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value, dtype=None) -> str:
        """Returns the name of a constant; equal small constants are stored once, in the outermost graph."""
        value = np.asarray(value, dtype)
        key = (value.dtype, value.shape, value.tobytes()) if value.size < 64 else id(value)
        known = self.shared["constants"]
        if key not in known:
            name = self.name("constant")
            self.shared["root"].constants.append(numpy_helper.from_array(value, name))
            known[key] = name, value  # keeping the value keeps its id unique
        return known[key][0]

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)


def type_of(dtype) -> int:
    """Returns ONNX's number for a dtype."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def value_info(name: str, aval) -> onnx.ValueInfoProto:
    shape = [None if is_free(size) else size for size in aval.shape]
    return helper.make_tensor_value_info(name, type_of(aval.dtype), shape)


# ----------------------------------------------------------------------------------------------------- sizes and shapes


def is_free(size) -> bool:
    return not isinstance(size, int)


def is_empty(aval) -> bool:
    return any(not is_free(size) and size == 0 for size in aval.shape)


def reshaped(graph: Graph, x: str, shape: Sequence) -> str:
    """Adds a reshape; one size of `shape` may be free."""
    return graph.add("Reshape", x, graph.ints(*(-1 if is_free(size) else size for size in shape)))


def shape_value(graph: Graph, shape: Sequence) -> str:
    """Returns the name of a shape as a value, int64 (n,)."""
    if not any(map(is_free, shape)):
        return graph.ints(*shape)
    return graph.add("Concat", *(size_value(graph, size) for size in shape), axis=0)


def size_value(graph: Graph, size) -> str:
    """Returns the name of a size as a value, int64 (1,). A free size must be a multiple of the batch size."""
    if not is_free(size):
        return graph.ints(size)
    name, batch = graph.shared["batch"]
    multiple = size // batch
    if is_free(multiple) or multiple * batch != size:
        raise Unsupported(f"a size of {size}, which is not a multiple of the batch size {batch}")
    return graph.add("Mul", name, graph.ints(multiple))


def permuted(graph: Graph, x: str, axes: Sequence[int]) -> str:
    return x if list(axes) == sorted(axes) else graph.add("Transpose", x, perm=list(axes))


def inverse(axes: Sequence[int]) -> list[int]:
    return [int(i) for i in np.argsort(axes)]
