import numpy as np

from vidjax import trees


def test_shapes_by_path():
    assert trees.shapes({"b": {"kernel": np.zeros((3, 8))}, "a": np.zeros(2)}) == {"a": (2,), "b/kernel": (3, 8)}


def test_differences_name_both_sides_and_kernels_first():
    model, other = {"a/bias": (2,), "b/kernel": (3, 8)}, {"a/bias": (3,), "c/bias": (1,)}
    assert trees.differences(model, model, "it") == ""
    assert trees.differences(model, other, "it").split("\n") == [
        "",
        "  b/kernel: the model has (3, 8), it nothing",
        "  a/bias: the model has (2,), it (3,)",
        "  c/bias: the model has nothing, it (1,)",
    ]
    many = {f"{i}/kernel": (i,) for i in range(12)}
    assert trees.differences(many, {}, "it").endswith("\n  ... and 2 more")
