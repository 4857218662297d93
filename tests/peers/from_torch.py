"""Gives a PyTorch model the parameters that formula.py draws under the Flax names."""

from collections.abc import Callable

import torch
from formula import draw_as_torch


def load(model: torch.nn.Module, flax_name: Callable[[str], str | None]):
    """Draws every parameter and statistic of a model; arguments as of `formula.draw_as_torch`."""
    state = model.state_dict()
    drawn = draw_as_torch({name: value.shape for name, value in state.items()}, flax_name)
    model.load_state_dict({**state, **{name: torch.from_numpy(array) for name, array in drawn.items()}})


def versions() -> dict[str, str]:
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__}
