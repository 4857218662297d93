"""Writes vgg.json: the logits of torchvision's VGG and AlexNet, and of C3D and CNN-M-2048 written with torch.nn.

    python tests/peers/make_vgg.py         needs vidjax, torch and torchvision, the two of one release

Parameters are drawn by formula.py. torchvision has no C3D and no CNN-M-2048: those two are written here from their
Caffe definitions (pools that round up, torch's normalisation that divides alpha by the number of channels). "_eighth"
is a network with an eighth of the channels. Made with torch 2.13.0 and torchvision 0.28.0.
"""

import json
from pathlib import Path

import torch
import torchvision
from formula import uniform
from from_torch import load, versions
from torch import nn

from vidjax.weights.convnet_names import kind_of

VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
C3D = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


class C3DEighth(nn.Module):
    """C3D; steps in time go through the classifier one by one, and their logits are averaged."""

    def __init__(self, num_classes: int):
        super().__init__()
        layers, inputs, pool = [], 3, (1, 2, 2)
        for channels in C3D:
            if channels == "M":
                layers.append(nn.MaxPool3d(pool, pool, ceil_mode=True))
                pool = (2, 2, 2)
            else:
                layers += [nn.Conv3d(inputs, channels // 8, 3, padding=1), nn.ReLU()]
                inputs = channels // 8
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool3d((None, 4, 4))
        self.classifier = fully_connected(64 * 4 * 4, 512, 512, num_classes)

    def forward(self, x):
        x = self.avgpool(self.features(x)).transpose(1, 2)  # (B, T', C, 4, 4)
        return self.classifier(x.flatten(2)).mean(1)


class CNNM2048Eighth(nn.Module):
    """CNN-M-2048 as VGG_CNN_M_2048 of Caffe's model zoo: normalisation after conv1 and conv2."""

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.features = nn.Sequential(
            *(nn.Conv2d(channels, 12, 7, stride=2), nn.ReLU(), norm, pool),
            *(nn.Conv2d(12, 32, 5, stride=2, padding=1), nn.ReLU(), norm, pool),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), pool),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = fully_connected(64 * 6 * 6, 512, 256, num_classes)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def fully_connected(inputs: int, first: int, second: int, num_classes: int) -> nn.Module:
    layers = nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, num_classes)
    return nn.Sequential(*layers)


def vgg16_bn_eighth(num_classes: int) -> nn.Module:
    """torchvision's vgg16_bn with an eighth of the channels."""
    plan = [x if x == "M" else x // 8 for x in VGG16]
    features = torchvision.models.vgg.make_layers(plan, batch_norm=True)
    model = torchvision.models.vgg.VGG(features, num_classes=num_classes, init_weights=False)
    model.classifier = fully_connected(64 * 7 * 7, 512, 512, num_classes)
    return model


def flax_modules(model: nn.Module, by_stage: bool) -> dict[str, str]:
    """features.7 -> conv2_2, or conv3 where stages are not counted; classifier.3 -> fc2."""
    names, stage, number = {}, 1, 0
    for index, layer in model.features.named_children():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            number += 1
            names[f"features.{index}"] = f"conv{stage}_{number}" if by_stage else f"conv{number}"
        elif isinstance(layer, nn.BatchNorm2d):
            names[f"features.{index}"] = f"bn{stage}_{number}"
        elif by_stage and isinstance(layer, nn.MaxPool2d | nn.MaxPool3d):
            stage, number = stage + 1, 0
    linear = [index for index, layer in model.classifier.named_children() if isinstance(layer, nn.Linear)]
    return names | {f"classifier.{index}": f"fc{i}" for i, index in enumerate(linear, 1)}


def logits(model: nn.Module, grid: int, inputs: torch.Tensor, by_stage: bool) -> list:
    """The logits of a model with drawn parameters, whose first linear layer sees (C, grid, grid)."""
    modules = flax_modules(model, by_stage)

    def flax_name(name: str) -> str | None:
        module, kind = name.rsplit(".", 1)
        kind = kind_of(kind, is_norm=modules[module].startswith("bn"))
        return f"{modules[module]}/{kind}" if kind else None

    model = model.eval()
    load(model, flax_name)
    first = next(layer for layer in model.classifier if isinstance(layer, nn.Linear))
    weight = first.weight.unflatten(1, (grid, grid, -1))  # drawn for (H, W, C)
    first.weight = nn.Parameter(weight.permute(0, 3, 1, 2).flatten(1))
    with torch.no_grad():
        return model(inputs).double().numpy().round(6).tolist()


def images(size: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(uniform("images", (2, size, size, channels)).transpose(0, 3, 1, 2).copy())


def main():
    golden = {}
    # The published size, which the adaptive average leaves as it is, and others, which it does not.
    golden["vgg16/96"] = logits(torchvision.models.vgg16(num_classes=10), 7, images(96), True)
    golden["vgg16_bn_eighth/75"] = logits(vgg16_bn_eighth(10), 7, images(75), True)
    for size in (224, 100):
        golden[f"alexnet/{size}"] = logits(torchvision.models.alexnet(num_classes=10), 6, images(size), False)
    golden["cnn_m_2048_eighth/101"] = logits(CNNM2048Eighth(20, 10), 6, images(101, 20), False)
    for shape in ((16, 112, 112), (20, 60, 50)):
        video = torch.from_numpy(uniform("video", (2, *shape, 3)).transpose(0, 4, 1, 2, 3).copy())
        golden[f"c3d_eighth/{'x'.join(map(str, shape))}"] = logits(C3DEighth(10), 4, video, True)
    path = Path(__file__).with_name("vgg.json")
    path.write_text(json.dumps({**versions(), "logits": golden}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
