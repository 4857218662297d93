"""Writes resnet.json: the logits of torchvision's ResNets with parameters drawn by formula.py.

    python tests/peers/make_resnet.py         needs torch and torchvision, the two of one release

Made with torch 2.13.0 and torchvision 0.28.0.
"""

import json
import re
from pathlib import Path

import torch
import torchvision
from formula import draw, uniform


def flax_name(name: str) -> str | None:
    """layer1.0.conv1.weight -> layer1_0/conv1/kernel; None for what Flax does not have."""
    *path, kind = name.split(".")
    module = "/".join(path)
    module = re.sub(r"^(layer\d)/", r"\1_", module)
    module = module.replace("downsample/0", "downsample_conv").replace("downsample/1", "downsample_bn")
    is_norm = re.search(r"bn\d?$", module) is not None
    kinds = {"weight": "scale" if is_norm else "kernel", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return f"{module}/{kinds[kind]}" if kind in kinds else None


def load(model: torch.nn.Module):
    """Draws every parameter and statistic of the model."""
    state = model.state_dict()
    for name, value in state.items():
        if flax_name(name) is None:
            continue
        shape = tuple(value.shape)
        if len(shape) == 4:  # (out, in, h, w) <- (h, w, in, out)
            array = draw(flax_name(name), (shape[2], shape[3], shape[1], shape[0])).transpose(3, 2, 0, 1)
        elif len(shape) == 2:  # (out, in) <- (in, out)
            array = draw(flax_name(name), shape[::-1]).T
        else:
            array = draw(flax_name(name), shape)
        state[name] = torch.from_numpy(array.copy())
    model.load_state_dict(state)


def main():
    golden = {}
    # An even and an odd size: symmetric padding differs from TensorFlow's SAME on the first.
    for name, size in [("resnet18", 64), ("resnet18", 75), ("resnet34", 64), ("resnet50", 64)]:
        model = getattr(torchvision.models, name)(num_classes=10).eval()
        load(model)
        images = torch.from_numpy(uniform("images", (2, size, size, 3)).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            golden[f"{name}_{size}"] = model(images).double().numpy().round(6).tolist()
    path = Path(__file__).with_name("resnet.json")
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    path.write_text(json.dumps({**versions, "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
