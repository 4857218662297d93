"""Libraries that only some formats need: they come with an extra of the project."""

import importlib


def needs(module: str, extra: str):
    """Imports a module. Raises a ValueError that names the extra to install, where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"this needs {module.partition('.')[0]}, which is not installed: pip install -e '.[{extra}]'"
        ) from None
