import jax
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnx_graph = pytest.importorskip("vidjax.export.onnx.graph")


def value_of(graph, name):
    [found] = [x for x in graph.constants if x.name == name]
    return onnx.numpy_helper.to_array(found)


def test_nodes_have_unique_names():
    graph = onnx_graph.Graph()
    first, second = graph.add("Add", "a", "b"), graph.add("Add", "a", "b")
    parts = graph.add("Split", second, outputs=2, axis=1)
    assert len({first, second, *parts}) == 4
    assert [(node.op_type, list(node.input)) for node in graph.nodes][2] == ("Split", [second])


def test_equal_constants_are_stored_once_in_the_outermost_graph():
    graph = onnx_graph.Graph()
    body = onnx_graph.Graph(graph)
    assert body.ints(1, 2) == graph.ints(1, 2) != graph.constant([1, 2], np.int32)
    assert body.constants == [] and len(graph.constants) == 2
    np.testing.assert_array_equal(value_of(graph, graph.ints(1, 2)), np.int64([1, 2]))


def test_a_free_size_is_a_multiple_of_the_batch():
    (batch,) = jax.export.symbolic_shape("b")
    graph = onnx_graph.Graph()
    graph.shared["batch"] = "size", batch
    assert onnx_graph.is_free(batch) and not onnx_graph.is_free(3)
    onnx_graph.size_value(graph, 3 * batch)
    (node,) = graph.nodes
    assert node.op_type == "Mul" and node.input[0] == "size" and value_of(graph, node.input[1]) == [3]
    with pytest.raises(onnx_graph.Unsupported, match="a size of"):
        onnx_graph.size_value(graph, batch * batch)
    onnx_graph.reshaped(graph, "x", (batch, 4))
    np.testing.assert_array_equal(value_of(graph, graph.nodes[-1].input[1]), [-1, 4])


def test_a_shape_without_free_sizes_is_a_constant():
    graph = onnx_graph.Graph()
    np.testing.assert_array_equal(value_of(graph, onnx_graph.shape_value(graph, (2, 3))), [2, 3])
    assert not graph.nodes


def test_axes_in_order_are_not_transposed():
    graph = onnx_graph.Graph()
    assert onnx_graph.permuted(graph, "x", (0, 1, 2)) == "x" and not graph.nodes
    onnx_graph.permuted(graph, "x", (2, 0, 1))
    assert list(graph.nodes[0].attribute[0].ints) == [2, 0, 1]
    assert onnx_graph.inverse((2, 0, 1)) == [1, 2, 0]
