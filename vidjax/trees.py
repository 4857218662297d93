"""Trees of arrays by path, and in what two of them differ."""

import jax


def shapes(tree) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a tree, by its path: {"Dense_0/kernel": (3, 8)}."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


def differences(expected: dict[str, tuple], found: dict[str, tuple], other: str) -> str:
    """Where the shapes of a model's arrays differ from those in `other`: up to 10 lines, kernels first, or ""."""
    lines = [
        f"\n  {path}: the model has {expected.get(path, 'nothing')}, {other} {found.get(path, 'nothing')}"
        for path in sorted(expected | found, key=lambda path: not path.endswith("kernel"))
        if expected.get(path) != found.get(path)
    ]
    return "".join(lines[:10]) + (f"\n  ... and {len(lines) - 10} more" if len(lines) > 10 else "")
