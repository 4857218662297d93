"""Writes i3d.json: outputs of pytorch-i3d (github.com/piergiaj/pytorch-i3d) with parameters drawn by formula.py.

    python tests/peers/make_i3d.py --source .../pytorch_i3d.py         needs torch, and that one file

The logits need clips of 224x224, since the pool at the end has a window of 2x7x7. Smaller clips, of odd sizes too, are
compared by the mean over space of Mixed_5c, after the same window of 2 in time. Made with torch 2.13.0 and
pytorch_i3d.py at commit 05783d11f9632b25fe3d50395a9c9bb51f848d6d.
"""

import argparse
import json
from pathlib import Path

import torch
from formula import uniform
from from_torch import load

UNITS = {  # of pytorch-i3d's InceptionModule
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
}
KINDS = {
    "conv3d.weight": "conv_3d/kernel",
    "conv3d.bias": "conv_3d/bias",
    "bn.bias": "batch_norm/bias",
    "bn.running_mean": "batch_norm/mean",
    "bn.running_var": "batch_norm/var",
}


def flax_name(name: str) -> str | None:
    """Mixed_3b.b0.conv3d.weight -> Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/kernel; None for what Flax does not have."""
    *path, layer, kind = name.split(".")
    if f"{layer}.{kind}" not in KINDS:
        return None
    module = "/".join(UNITS.get(part, part) for part in path).replace("logits", "Logits/Conv3d_0c_1x1")
    if module == "Mixed_5b/Branch_2/Conv3d_0b_3x3":  # as it is misnamed in DeepMind's checkpoints
        module = "Mixed_5b/Branch_2/Conv3d_0a_3x3"
    return f"{module}/{KINDS[f'{layer}.{kind}']}"


def published_model(description: str, num_classes: int) -> torch.nn.Module:
    """pytorch-i3d's model, from the file that `--source` names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="pytorch_i3d.py")
    source = parser.parse_args().source
    namespace = {"__name__": "pytorch_i3d"}
    exec(compile(Path(source).read_text(), source, "exec"), namespace)
    return namespace["InceptionI3d"](num_classes=num_classes).eval()


def main():
    model = published_model(__doc__, num_classes=10)
    load(model, flax_name)

    def clip(*shape):
        return torch.from_numpy(uniform("clip", (1, *shape, 3)).transpose(0, 4, 1, 2, 3).copy())

    golden = {"torch": torch.__version__, "features": {}}
    with torch.no_grad():
        for shape in [(16, 64, 64), (19, 50, 67)]:
            x = clip(*shape)
            for name in model.VALID_ENDPOINTS[: model.VALID_ENDPOINTS.index("Mixed_5c") + 1]:
                x = model._modules[name](x)
            x = x.mean((3, 4))  # (1, 1024, T')
            x = torch.nn.functional.avg_pool1d(x, 2, 1)[0].T  # (T' - 1, 1024)
            golden["features"]["x".join(map(str, shape))] = x[:, ::16].double().numpy().round(6).tolist()
        golden["logits"] = {"10x224x224": model(clip(10, 224, 224)).mean(2).double().numpy().round(6).tolist()}
    path = Path(__file__).with_name("i3d.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
