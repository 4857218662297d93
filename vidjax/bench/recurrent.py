"""An LSTM in one scan, against flax.linen.RNN and PyTorch: 64 steps of 32 sequences, 1024 -> 512, float32."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from vidjax.bench import alternate, compare, summary
from vidjax.models.recurrent import Recurrent


class Sizes(NamedTuple):
    """Sequences in a batch, steps of each, and widths of the input and of the output."""

    sequences: int = 32
    steps: int = 64
    width_in: int = 1024
    width_out: int = 512


def flax_lstms(sizes: Sizes) -> dict[str, tuple[Callable, Callable]]:
    """Returns name -> (forward, training step) for our LSTM and flax's of the same sizes."""
    x = jax.random.normal(jax.random.key(0), sizes[:3])
    models = {"vidjax": Recurrent(sizes.width_out), "nn.RNN": nn.RNN(nn.OptimizedLSTMCell(sizes.width_out))}

    def outputs(model, variables, x):
        y = model.apply(variables, x)
        return y[0] if isinstance(model, Recurrent) else y  # (B, T, H)

    def functions(model):
        variables = jax.jit(model.init)(jax.random.key(1), x)
        forward = jax.jit(lambda variables: outputs(model, variables, x))
        gradient = jax.grad(lambda variables: jnp.square(outputs(model, variables, x)).mean())
        train = jax.jit(lambda variables: jax.tree.map(lambda p, g: p - 0.1 * g, variables, gradient(variables)))
        return [lambda f=f: jax.block_until_ready(f(variables)) for f in (forward, train)]

    return {name: functions(model) for name, model in models.items()}


def torch_lstm(sizes: Sizes) -> tuple[Callable, Callable]:
    """Returns (forward, training step) of PyTorch's LSTM of the same sizes, on CUDA if available."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.LSTM(sizes.width_in, sizes.width_out, batch_first=True).to(device)
    x = torch.randn(*sizes[:3], device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def forward():
        with torch.no_grad():
            return model(x)[0].sum().item()  # waits for the device

    def train():
        optimizer.zero_grad()
        loss = model(x)[0].square().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return forward, train


def bench_recurrent(rounds: int, sizes: Sizes = Sizes()) -> dict:  # noqa: B008
    """Returns milliseconds of a forward pass and of a training step, and our speed relative to the others."""
    contestants = flax_lstms(sizes)
    try:
        contestants["torch"] = torch_lstm(sizes)
    except ImportError:
        print("PyTorch is not installed: comparing with flax only.")
    result = {}
    for k, what in enumerate(("forward", "training step")):
        times = alternate({name: functions[k] for name, functions in contestants.items()}, rounds)
        for name, theirs in times.items():
            result[f"{what}, {name}"] = summary(theirs)
            if name != "vidjax":
                result[f"{what}, {name} / vidjax"] = compare(theirs, times["vidjax"])
    return result
