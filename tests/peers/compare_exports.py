"""Loads weights that vidjax.export wrote into the PyTorch networks that they are for, and compares the logits.

    python -m vidjax.export --workdir W --format safetensors --names torchvision --out EXPORT
    python tests/peers/compare_exports.py EXPORT --workdir W --videos a.avi b.avi
    python tests/peers/compare_exports.py EXPORT --weights i3d_kinetics400_rgb --pytorch_i3d .../pytorch_i3d.py ...

Needs vidjax, torch, torchvision and, for pytorch-i3d, the file named: its published definition. The arrays are loaded
strictly, but for torch's counts of batches, which inference does not read. Both networks see the middle clip of each
video, as vidjax prepares it. Prints the largest difference, as a share of the largest logit.
"""

import argparse
import json
from pathlib import Path

import jax
import numpy as np
import torch
import torchvision
from compare_imports import from_source
from safetensors.torch import load_file

from vidjax import step
from vidjax.inference import restore
from vidjax.inference.views import views_of
from vidjax.preprocess import preprocess


def network_of(directory: Path, num_classes: int, pytorch_i3d: str | None) -> torch.nn.Module:
    """The network that an export's model.json names, with its arrays."""
    verified = json.loads((directory / "model.json").read_text())["verified"]
    arrays = load_file(directory / "model.safetensors")
    if verified["names"] == "pytorch_i3d":
        channels = arrays["Conv3d_1a_7x7.conv3d.weight"].shape[1]
        network = from_source(pytorch_i3d)["InceptionI3d"](num_classes, in_channels=channels)
    else:
        kinds = torchvision.models, torchvision.models.video
        make = next(getattr(kind, verified["network"]) for kind in kinds[::-1] if hasattr(kind, verified["network"]))
        network = make(num_classes=num_classes)
    missing, unexpected = network.load_state_dict(arrays, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return network.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", type=Path)
    source.add_argument("--weights")
    parser.add_argument("--videos", nargs="+", required=True)
    parser.add_argument("--pytorch_i3d")
    args = parser.parse_args()
    run = restore.from_run(args.workdir) if args.workdir else restore.from_weights(args.weights)
    theirs = network_of(args.export, len(run.labels), args.pytorch_i3d)
    forward = jax.jit(lambda *arguments: step.eval_step(*arguments, model=run.model, spec=run.preprocess))
    difference = largest = 0.0
    for path in args.videos:
        views = views_of(run, path, num_views=1)
        ours = np.asarray(forward(run.params, run.model_state, views))
        (x,) = preprocess(views, run.preprocess).values()  # (1, T, H, W, C)
        with torch.no_grad():
            logits = theirs(torch.from_numpy(np.asarray(x).transpose(0, 4, 1, 2, 3).copy()))
        logits = logits.mean(2) if logits.ndim == 3 else logits  # pytorch-i3d gives the logits of each step
        difference = max(difference, float(np.abs(logits.numpy() - ours).max()))
        largest = max(largest, float(np.abs(ours).max()))
    name = type(theirs).__name__
    print(f"{name}, {len(args.videos)} clips: {difference:.2g} of {largest:.3g}, {difference / largest:.1e}")
    assert difference < 1e-5 * largest


if __name__ == "__main__":
    main()
