"""Writes i3d.json: outputs of pytorch-i3d (github.com/piergiaj/pytorch-i3d) with parameters drawn by formula.py.

    python tests/peers/make_i3d.py --source .../pytorch_i3d.py         needs vidjax, torch and that one file

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

from vidjax.weights import convnet_names


def flax_name(name: str) -> str | None:
    """As `convnet_names.pytorch_i3d`, but that the scales of the norms stay 1, as DeepMind's I3D has none."""
    path = convnet_names.pytorch_i3d(name)
    return None if path is None or path.endswith("/batch_norm/scale") else path


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
