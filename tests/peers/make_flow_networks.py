"""Writes flow_networks.json: the flow of other libraries' networks, with parameters drawn by formula.py.

    PYTHONPATH=. python tests/peers/make_flow_networks.py FLOWNET SPYNET     needs torch, torchvision and two checkouts

FLOWNET is a checkout of ClementPinard/FlowNetPytorch, whose correlation, a CUDA extension, is replaced by loops. SPYNET
is a checkout of sniklaus/pytorch-spynet, of which the network is run without its download. All compute in float64;
ours as `tests.flow_networks` says. Prints the largest differences to ours in pixels, per iteration of RAFT, and how far
swapping the two frames moves the flow. Stores some rows and columns. Made with torch 2.14.1 and torchvision 0.29.1.
"""

import argparse
import ast
import json
import sys
import types
from pathlib import Path

import jax
import numpy as np
import torch
from from_torch import load_ours, versions
from torchvision.models import optical_flow

from tests.flow_networks import CASES, drawn, exact
from vidjax.export.torch_names import NAMES
from vidjax.weights import importers

EVERY = 8  # rows and columns


def correlated(first, second, **settings):
    """FlowNetPytorch's `spatial_correlation_sample` by loops: (B, C, H, W) twice -> (B, 21, 21, H, W)."""
    assert settings == {"kernel_size": 1, "patch_size": 21, "stride": 1, "padding": 0, "dilation_patch": 2}
    height, width = first.shape[2:]
    padded = torch.nn.functional.pad(second, (20, 20, 20, 20))
    rows = [
        torch.stack([(first * padded[:, :, i : i + height, j : j + width]).sum(1) for j in range(0, 41, 2)], 1)
        for i in range(0, 41, 2)
    ]
    return torch.stack(rows, 1)


def spynet_of(checkout: Path) -> torch.nn.Module:
    """The class in run.py, which computes on import, without its download and on the CPU."""
    tree = ast.parse((checkout / "run.py").read_text())
    kept = [x for x in tree.body if getattr(x, "name", "") in ("backwarp", "Network")]
    scope = {"torch": torch, "math": __import__("math"), "backwarp_tenGrid": {}}
    init = next(x for x in kept[1].body if x.name == "__init__")
    init.body = [x for x in init.body if "load_state_dict" not in ast.unparse(x)]
    code = ast.unparse(ast.Module(kept, [])).replace(".cuda()", "")
    exec(compile(code, "run.py", "exec"), scope)
    return scope["Network"]()


def theirs(network: str, flownet, spynet: Path):
    """Their network, its layout, and a function of two frames (1, 3, H, W) in -1..1 that returns all its flows."""
    if network.startswith("raft"):
        peer = getattr(optical_flow, network)()

        def run(first, second):
            height, width = first.shape[2:]
            pads = [max(-(-n // 8) * 8, 128) - n for n in (width, height)]
            pads = [p for total in pads for p in (total // 2, total - total // 2)]
            flows = peer(*(torch.nn.functional.pad(x, pads, mode="replicate") for x in (first, second)))
            return [x[:, :, pads[2] : pads[2] + height, pads[0] : pads[0] + width] for x in flows]

        return peer, importers.RAFT, run
    if network == "spynet":
        peer = spynet_of(spynet)
        half = lambda x: (x.flip(1) + 1) / 2  # noqa: E731  blue, green, red in 0..1
        return peer, importers.SPYNET, lambda first, second: [peer(half(first), half(second))]
    peer = getattr(flownet, network.replace("_", ""))()
    mean = torch.tensor([0.45, 0.432, 0.411]).view(1, 3, 1, 1)

    def run_flownet(first, second):
        flows = peer.train()(torch.cat([(x + 1) / 2 - mean for x in (first, second)], 1))
        return [20 * x for x in flows[::-1]]

    return peer, importers.FLOWNET, run_flownet


def compare(name: str, flownet, spynet: Path) -> dict:
    network = CASES[name][0]
    model, variables, video = drawn(name)
    peer, layout, run = theirs(network, flownet, spynet)
    load_ours(peer, variables, layout, next(f for of in NAMES.values() for other, f in of if other is layout))
    peer.eval().double()
    with torch.no_grad():
        flows = run(*(torch.from_numpy(x.transpose(2, 0, 1).copy())[None].double() for x in video[0]))
    flows = [x.numpy()[0].transpose(1, 2, 0) for x in flows]
    with exact():
        apply = jax.jit(lambda *inputs: model.apply(*inputs, train=True, mutable=["batch_stats"])[0][0])
        ours, swapped = ([np.asarray(x[0, 0]) for x in apply(variables, x)] for x in (video, video[:, ::-1]))
    ours, swapped = ours[-len(flows) :], swapped[-len(flows) :]
    apart = [float(np.abs(a - b).max()) for a, b in zip(ours, flows, strict=True)]
    moved = np.abs(swapped[-1] - flows[-1]).max()
    reach = [round(float(np.abs(x).max()), 1) for x in flows]
    print(f"{name}: apart {[f'{x:.1e}' for x in apart]}, largest flow {reach}, frames swapped {moved:.1f}", flush=True)
    stored = [flows[0], flows[-1]] if network.startswith("raft") else flows
    every = 1 if network.startswith("flownet") else EVERY
    return {"flows": [x[::every, ::every].astype(float).round(5).tolist() for x in stored]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flownet", type=Path, help="a checkout of FlowNetPytorch")
    parser.add_argument("spynet", type=Path, help="a checkout of pytorch-spynet")
    args = parser.parse_args()
    extension = types.ModuleType("spatial_correlation_sampler")
    extension.spatial_correlation_sample = correlated
    sys.modules[extension.__name__] = extension
    sys.path.insert(0, str(args.flownet))
    import models as flownet

    torch.set_default_dtype(torch.float64)
    grid = optical_flow.raft.make_coords_grid
    optical_flow.raft.make_coords_grid = lambda *sizes: grid(*sizes).double()

    golden = {name: compare(name, flownet, args.spynet) for name in CASES}
    path = Path(__file__).with_name("flow_networks.json")
    path.write_text(json.dumps({**versions(), **golden}) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
