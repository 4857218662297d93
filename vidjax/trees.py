"""Shapes of the arrays of a tree by path, and the differences between two trees."""

import jax


def shapes(tree) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a tree, by path: {"Dense_0/kernel": (3, 8)}."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


def differences(expected: dict[str, tuple], found: dict[str, tuple], other: str) -> str:
    """The differences between the shapes of a model and those of `other`: up to 10 lines, kernels first, or ""."""
    lines = [
        f"\n  {path}: the model has {expected.get(path, 'nothing')}, {other} {found.get(path, 'nothing')}"
        for path in sorted(expected | found, key=lambda path: not path.endswith("kernel"))
        if expected.get(path) != found.get(path)
    ]
    return "".join(lines[:10]) + (f"\n  ... and {len(lines) - 10} more" if len(lines) > 10 else "")
