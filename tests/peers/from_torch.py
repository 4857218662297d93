"""Gives a PyTorch model the parameters that formula.py draws under the Flax names."""

from collections.abc import Callable

import torch
from formula import draw


def load(model: torch.nn.Module, flax_name: Callable[[str], str | None]):
    """Draws every parameter and statistic of a model.

    Args:
        flax_name: torch's name -> ours; None for what Flax does not have.
    """
    state = model.state_dict()
    for name, value in state.items():
        path = flax_name(name)
        if path is None:
            continue
        shape = tuple(value.shape)
        if len(shape) > 2:  # (out, in, *window) <- (*window, in, out)
            array = draw(path, (*shape[2:], shape[1], shape[0]))
            array = array.transpose(-1, -2, *range(len(shape) - 2))
        elif len(shape) == 2:  # (out, in) <- (in, out)
            array = draw(path, shape[::-1]).T
        else:
            array = draw(path, shape)
        state[name] = torch.from_numpy(array.copy())
    model.load_state_dict(state)


def kind_of(name: str, is_norm: bool) -> str | None:
    """The last part of a torch name as Flax calls it."""
    kinds = {"weight": "scale" if is_norm else "kernel", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return kinds.get(name)


def versions() -> dict[str, str]:
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__}
