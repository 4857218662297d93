"""Writes tcn.json: the outputs of the TCN of Bai et al. written with torch's layers, parameters by formula.py.

    python tests/peers/make_tcn.py         needs torch

The block is that of github.com/locuslab/TCN, TCN/tcn.py: a convolution padded on both sides, its end cut off. Made with
torch 2.13.0.
"""

import json
from pathlib import Path

import torch
from formula import draw, uniform
from torch.nn.utils.parametrizations import weight_norm

WIDTH, CHANNELS, KERNEL_SIZE = 5, (4, 4, 3), 3


def convolution(name: str, inputs: int, outputs: int, dilation: int):
    """Returns weight_norm(Conv1d) without the future: (B, C, T) -> (B, outputs, T)."""
    padding = (KERNEL_SIZE - 1) * dilation
    layer = weight_norm(torch.nn.Conv1d(inputs, outputs, KERNEL_SIZE, padding=padding, dilation=dilation))
    kernel = draw(f"{name}/kernel", (KERNEL_SIZE, inputs, outputs)).transpose(2, 1, 0)
    layer.parametrizations.weight.original0.data = torch.from_numpy(draw(f"{name}/scale", (outputs,)))[:, None, None]
    layer.parametrizations.weight.original1.data = torch.from_numpy(kernel.copy())
    layer.bias.data = torch.from_numpy(draw(f"{name}/bias", (outputs,)))
    return lambda x: layer(x)[:, :, :-padding]


def block(name: str, x: torch.Tensor, outputs: int, dilation: int) -> torch.Tensor:
    y = convolution(f"{name}/conv1", x.shape[1], outputs, dilation)(x).relu()
    y = convolution(f"{name}/conv2", outputs, outputs, dilation)(y).relu()
    if x.shape[1] != outputs:
        downsample = torch.nn.Conv1d(x.shape[1], outputs, 1)
        kernel = draw(f"{name}/downsample/kernel", (x.shape[1], outputs))
        downsample.weight.data = torch.from_numpy(kernel.T.copy())[:, :, None]
        downsample.bias.data = torch.from_numpy(draw(f"{name}/downsample/bias", (outputs,)))
        x = downsample(x)
    return (x + y).relu()


def main():
    x = torch.from_numpy(uniform("sequence", (2, 20, WIDTH)).transpose(0, 2, 1).copy())
    with torch.no_grad():
        for i, outputs in enumerate(CHANNELS):
            x = block(f"block{i}", x, outputs, 2**i)
    outputs = x.transpose(1, 2).double().numpy().round(7).tolist()
    path = Path(__file__).with_name("tcn.json")
    path.write_text(json.dumps({"torch": torch.__version__, "outputs": outputs}) + "\n")
    print(path)


if __name__ == "__main__":
    main()
