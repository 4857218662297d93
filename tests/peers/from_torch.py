"""Gives a PyTorch model the parameters that formula.py draws under the Flax names."""

from collections.abc import Callable

import torch
from flax import traverse_util
from formula import draw_as_torch

from vidjax.export import torch_names


def load(model: torch.nn.Module, flax_name: Callable[[str], str | None]):
    """Draws every parameter and statistic of a model; arguments as of `formula.draw_as_torch`."""
    state = model.state_dict()
    drawn = draw_as_torch({name: value.shape for name, value in state.items()}, flax_name)
    model.load_state_dict({**state, **{name: torch.from_numpy(array) for name, array in drawn.items()}})


def load_ours(model: torch.nn.Module, variables: dict, layout, name_of: Callable[[str], str]):
    """Gives a model our variables, a nested dict, by the names and layout of `torch_names.NAMES`."""
    arrays = torch_names.to_torch(traverse_util.flatten_dict(variables, sep="/"), layout, name_of)
    state = model.state_dict()
    counters = {name: x for name, x in state.items() if name.endswith("num_batches_tracked")}
    arrays = {name: torch.from_numpy(x).reshape(state[name].shape) for name, x in arrays.items()}
    model.load_state_dict(counters | arrays)


def versions() -> dict[str, str]:
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__}
