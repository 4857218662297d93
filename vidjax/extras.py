"""Imports optional libraries, which come with extras of the project."""

import importlib


def needs(module: str, extra: str):
    """Imports and returns a module. If it is missing, raises a ValueError that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"this needs {module.partition('.')[0]}, which is not installed: pip install -e '.[{extra}]'"
        ) from None
