"""Writes names.json: the names and shapes in the files of the networks that `vidjax.weights.importers` knows.

    python tests/peers/make_names.py --source .../pytorch_i3d.py         needs vidjax, torch, torchvision, keras, h5py

Made with torch 2.13.0, torchvision 0.28.0, keras 3.15.1 and pytorch_i3d.py at commit
05783d11f9632b25fe3d50395a9c9bb51f848d6d.
"""

import json
import tempfile
from pathlib import Path

import keras
import torch
import torchvision
from make_i3d import published_model

from vidjax.weights import files


def main():
    names = {}
    two, three = torchvision.models, torchvision.models.video
    networks = {
        "resnet18": two.resnet18,
        "resnet34": two.resnet34,
        "resnet50": two.resnet50,
        "googlenet": lambda: two.googlenet(init_weights=False),  # with its auxiliary classifiers, as published
        "vgg16": two.vgg16,
        "alexnet": two.alexnet,
        "r3d_18": three.r3d_18,
        "mc3_18": three.mc3_18,
        "r2plus1d_18": three.r2plus1d_18,
        "s3d": three.s3d,
        "pytorch_i3d": lambda: published_model(__doc__, num_classes=400),
    }
    for name, make in networks.items():
        with torch.device("meta") if name != "pytorch_i3d" else torch.device("cpu"):
            names[name] = {key: list(value.shape) for key, value in make().state_dict().items()}
    with tempfile.TemporaryDirectory() as directory:
        model = keras.applications.VGG16(weights=None)
        for name, save in (("vgg16.weights.h5", model.save_weights), ("vgg16.h5", model.save)):
            save(Path(directory) / name)
            arrays = files.read(Path(directory) / name)
            names[f"keras {name}"] = {key: list(value.shape) for key, value in arrays.items()}
    path = Path(__file__).with_name("names.json")
    lines = [f'"{network}": {json.dumps(shapes, separators=(",", ":"))}' for network, shapes in names.items()]
    path.write_text("{" + ",\n".join(lines) + "}\n")
    print(path)


if __name__ == "__main__":
    main()
