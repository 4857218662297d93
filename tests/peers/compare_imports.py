"""Compares the logits of imported networks with those of the libraries that wrote the files.

    python tests/peers/compare_imports.py --pytorch_i3d .../pytorch_i3d.py --kinetics_i3d .../i3d.py
        --lpips_jax .../lpips_jax/models.py

Needs vidjax, torch, torchvision (the two of one release), tensorflow, keras, h5py and the files named, which are the
published definitions of github.com/piergiaj/pytorch-i3d, github.com/google-deepmind/kinetics-i3d and the package
lpips-jax. Every network is the original library's, with numbers of formula.py for each name of that library (the real
ones in lpips-jax), saved by that library to a file of its own format, and read by `vidjax.weights`. Prints the largest
difference, as a share of the largest logit. kinetics-i3d is run on the stand-in for Sonnet that is below.

With torch 2.13.0, torchvision 0.28.0, tensorflow 2.21.0 and keras 3.15.1 all were between 3e-7 and 4e-6.
"""

import argparse
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import torch
import torchvision
from flax import traverse_util
from formula import draw, uniform

from vidjax import models
from vidjax.weights import files
from vidjax.weights import load as weights

VIDEO = (16, 112, 112, 3)


def draw_torch(model: torch.nn.Module) -> torch.nn.Module:
    """Draws every parameter and statistic by torch's names."""
    state = model.state_dict()
    for name, value in state.items():
        kinds = {"bias": "bias", "running_mean": "mean", "running_var": "var"}
        kind = kinds.get(name.rpartition(".")[2], "kernel" if value.ndim > 1 else "scale")
        if value.ndim:
            array = draw(f"{name}/{kind}", (*value.shape[2:], *value.shape[1:2], value.shape[0]))
            state[name] = torch.from_numpy(np.moveaxis(array, (-1, -2), (0, 1)) if value.ndim > 1 else array).clone()
    model.load_state_dict(state)
    return model.eval()


def compare(name: str, path: Path, inputs: np.ndarray, expected: np.ndarray):
    """Reads a file, and compares the logits for inputs (B, T, H, W, C)."""
    entry, variables = weights.load_file(path)
    model = models.make_model(num_classes=len(entry.labels), **entry.model)
    logits, _ = jax.jit(model.apply)(variables, inputs)
    logits = logits.reshape(expected.shape)  # features of one frame, where there is no classifier
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    print(f"{name:38} {path.name:38} {logits.shape[-1]:5} classes  {difference:.1e}", flush=True)
    assert difference < 1e-4, name


def compare_torch(name: str, model: torch.nn.Module, directory: Path, shape: tuple[int, ...], **settings):
    """Saves a torch network as .pth and as .safetensors, and compares both."""
    from safetensors.torch import save_file

    inputs = uniform("inputs", (2, *shape))
    model = draw_torch(model)
    torch.save(model.state_dict(), directory / f"{name}.pth")
    save_file(model.state_dict(), directory / f"{name}.safetensors")
    x = torch.from_numpy(inputs.transpose(0, 4, 1, 2, 3).copy())
    with torch.no_grad():
        expected = model(x[:, :, 0] if shape[0] == 1 else x)
    expected = expected.mean(2) if expected.ndim == 3 else expected  # pytorch-i3d gives the logits of each step
    for suffix in ("pth", "safetensors"):
        compare(name, directory / f"{name}.{suffix}", inputs, expected.numpy())


def from_source(path: str, **modules) -> dict:
    """The names that a file of Python defines, where `modules` stand in for what it imports."""
    namespace = {"__name__": Path(path).stem}
    sys.modules.update(modules)
    exec(compile(Path(path).read_text(), path, "exec"), namespace)
    return namespace


# ------------------------------------------------------------------------------------------------------------------ I3D


def sonnet(tf) -> types.ModuleType:
    """As much of Sonnet 1 as kinetics-i3d's i3d.py calls, with the names of its scopes and variables."""

    class AbstractModule:
        def __init__(self, name):
            with tf.variable_scope(None, default_name=name) as scope:
                self.scope = scope

        def __call__(self, *arguments, **settings):
            with tf.variable_scope(self.scope, auxiliary_name_scope=False):
                return self._build(*arguments, **settings)

    class Conv3D(AbstractModule):
        def __init__(self, output_channels, kernel_shape, stride, padding, use_bias):
            super().__init__("conv_3d")
            self.arguments = output_channels, kernel_shape, stride, padding, use_bias

        def _build(self, x):
            channels, kernel, stride, padding, use_bias = self.arguments
            w = tf.get_variable("w", (*kernel, x.shape[-1], channels))
            x = tf.nn.conv3d(x, w, (1, *stride, 1), padding)
            return x + tf.get_variable("b", (channels,)) if use_bias else x

    class BatchNorm(AbstractModule):
        def __init__(self):
            super().__init__("batch_norm")

        def _build(self, x, is_training, test_local_stats):
            beta, mean, var = (tf.get_variable(n, x.shape[-1:]) for n in ("beta", "moving_mean", "moving_variance"))
            return (x - mean) / tf.sqrt(var + 1e-3) + beta  # Sonnet's epsilon

    module = types.ModuleType("sonnet")
    module.AbstractModule, module.Conv3D, module.BatchNorm = AbstractModule, Conv3D, BatchNorm
    module.SAME, module.VALID = "SAME", "VALID"
    return module


def compare_kinetics_i3d(source: str, stream: str, num_classes: int, directory: Path):
    """DeepMind's definition in a graph of TensorFlow 1, saved by its Saver."""
    import tensorflow as tf2

    tf = tf2.compat.v1
    channels = {"RGB": 3, "Flow": 2}[stream]
    inputs = uniform("inputs", (1, 16, 224, 224, channels))  # the logits average over windows of 7x7
    with tf.Graph().as_default(), tf.Session() as session:
        i3d = from_source(source, sonnet=sonnet(tf), tensorflow=tf)
        sys.modules["tensorflow"] = tf2
        placeholder = tf.placeholder(tf.float32, inputs.shape)
        with tf.variable_scope(stream):
            network = i3d["InceptionI3d"](num_classes, spatial_squeeze=True, final_endpoint="Logits")
            logits, _ = network(placeholder, is_training=False, dropout_keep_prob=1.0)
        kinds = {"w": "kernel", "b": "bias", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
        for variable in tf.global_variables():
            name = variable.op.name
            variable.load(draw(f"{name}/{kinds[name.rpartition('/')[2]]}", tuple(variable.shape)), session)
        tf.train.Saver().save(session, str(directory / f"{stream}{num_classes}"), write_meta_graph=False)
        print(f"{len(tf.global_variables())} variables")
        expected = session.run(logits, {placeholder: inputs})
    name = f"kinetics-i3d, {stream}, {num_classes} classes"
    compare(name, directory / f"{stream}{num_classes}.index", inputs, expected)


# ------------------------------------------------------------------------------------------------------------ lpips-jax


def compare_lpips_jax(source: str):
    """The real weights in the package, in its own networks; our features are the averages after one more pool."""
    from flax import linen as nn

    networks = from_source(source)
    inputs = uniform("inputs", (2, 224, 224, 3))
    for name, theirs, size in (("vgg16_imagenet", "VGG16", 2), ("alexnet_imagenet", "AlexNet", 3)):
        entry, variables = weights.load(name)
        content = files.read(entry.files[0].path, entry.member)
        content = {path.partition("/")[2]: x for path, x in content.items() if path.startswith(f"{theirs}_0/")}
        params = traverse_util.unflatten_dict(content, sep="/")
        last = networks[theirs]().apply({"params": params}, inputs)[-1]
        expected = np.asarray(nn.max_pool(last, (size, size), (2, 2)).mean((1, 2)))
        model = models.make_model(num_classes=0, **entry.model)
        features, _ = jax.jit(model.apply)(variables, inputs[:, None])
        difference = np.abs(features[:, 0] - expected).max() / np.abs(expected).max()
        print(f"{name:38} {entry.files[0].name:38}       real weights  {difference:.1e}", flush=True)
        assert difference < 1e-4, name


# ---------------------------------------------------------------------------------------------------------------- Keras


def compare_keras(directory: Path):
    """Keras' VGG16 in the two formats that Keras 3 writes; inputs are blue, green, red there."""
    import keras

    inputs = uniform("inputs", (2, 1, 224, 224, 3))
    for num_classes in (1000, 0):
        arguments = {"include_top": num_classes > 0, "pooling": "avg", "classifier_activation": None}
        model = keras.applications.VGG16(weights=None, **arguments)
        model.set_weights([draw(variable.path, tuple(variable.shape)) for variable in model.weights])
        expected = model.predict(inputs[:, 0, :, :, ::-1], verbose=0)
        for suffix, save in ((".weights.h5", model.save_weights), (".h5", model.save)):
            path = directory / f"vgg16_{num_classes}{suffix}"
            save(path)
            compare("keras' vgg16", path, inputs, expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch_i3d", required=True)
    parser.add_argument("--kinetics_i3d", required=True)
    parser.add_argument("--lpips_jax", required=True)
    args = parser.parse_args()
    two, three = torchvision.models, torchvision.models.video
    networks: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
        "resnet18": (two.resnet18, (1, 224, 224, 3)),
        "resnet34": (two.resnet34, (1, 224, 224, 3)),
        "resnet50": (two.resnet50, (1, 224, 224, 3)),
        "googlenet": (lambda: two.googlenet(init_weights=False), (1, 224, 224, 3)),  # with its auxiliary classifiers
        "vgg16": (two.vgg16, (1, 224, 224, 3)),
        "alexnet": (two.alexnet, (1, 224, 224, 3)),
        "r3d_18": (three.r3d_18, VIDEO),
        "mc3_18": (three.mc3_18, VIDEO),
        "r2plus1d_18": (three.r2plus1d_18, VIDEO),
        "s3d": (three.s3d, (16, 224, 224, 3)),
        "r3d_18, 7 classes": (lambda: three.r3d_18(num_classes=7), VIDEO),
    }
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        for name, (make, shape) in networks.items():
            compare_torch(name, make(), directory, shape)
        definition = from_source(args.pytorch_i3d)["InceptionI3d"]
        for channels, num_classes in ((3, 400), (2, 400), (3, 157)):
            name = f"pytorch-i3d, {channels} channels"
            compare_torch(name, definition(num_classes, in_channels=channels), directory, (16, 224, 224, channels))
        compare_lpips_jax(args.lpips_jax)
        compare_keras(directory)
        for stream, num_classes in (("RGB", 400), ("Flow", 400), ("RGB", 600)):
            compare_kinetics_i3d(args.kinetics_i3d, stream, num_classes, directory)


if __name__ == "__main__":
    main()
