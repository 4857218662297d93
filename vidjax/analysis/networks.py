"""Finds the network to analyse, by name or config, and the shapes of its inputs."""

import importlib.util
import re
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import config_checks, config_files
from vidjax.data import clips, dataset_info
from vidjax.models import MODELS, inputs_of, needs_flow

NUM_CLASSES, BATCH_SIZE = 400, 8  # defaults for a model by name; Kinetics-400 has 400 classes
NUM_WORDS = 16  # length of a caption
OPTIMIZER = {"name": "adamw", "weight_decay": 0.01}

Inputs = dict[str, jax.ShapeDtypeStruct]


def find_config(name: str) -> ConfigDict:
    """Returns the config for a model name or a config file, such as `configs/frame_rnn.py:dataset=motion`.

    A model by name gets float32, AdamW and softmax.

    Raises:
        ValueError: if it is neither; lists the valid names.
    """
    if name in MODELS:
        return ConfigDict({
            "model": {"name": name},
            "preprocess": {"mean": [127.5] * 3, "std": [127.5] * 3},
            "flow": "stored" if needs_flow(name) else "",
            "target": "clip",
            "loss": {"name": "softmax"},
            "optimizer": OPTIMIZER,
            "schedule": {"name": "constant", "learning_rate": 1e-3},
            "freeze": (),
            "accumulate": 1,
            "ema_decay": 0.0,
            "dtype": "float32",
            "batch_size": BATCH_SIZE,
            "mesh": {"fsdp": 1},
            "seed": 0,
        })  # fmt: skip
    path, colon, argument = name.partition(":")
    path = config_files.find(path)
    if path.suffix != ".py" or not path.is_file():
        files = ", ".join(config_files.known())
        raise ValueError(f"{name!r} is neither a model ({', '.join(MODELS)}) nor the file of a config ({files}).")
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{path} is not a config: it has no get_config().")
    config = module.get_config(*([argument] if colon else []))
    config_checks.check(config)
    return config


def find_inputs(config: ConfigDict, size: str | None, batch_size: int, num_classes: int | None):
    """Returns the input shapes of a batch, the number of classes, and the source of that number.

    Args:
        size: "16x112x112" (frames, height, width), "224x224" (an image), "32x1024" (features: steps, width), or None
            for the size in the config.

    Raises:
        ValueError: for a malformed size, an input that the model does not take, or a missing size.
    """
    described, info = "--num_classes", None
    if "dataset" in config:
        try:
            info = dataset_info.read(Path(config.dataset))
        except ValueError:
            pass  # a summary needs no records
    if num_classes is None:
        num_classes, described = (len(info.labels), config.dataset) if info else (NUM_CLASSES, "by default")
    if size is None:
        if "clip" not in config:
            raise ValueError(f"{config.model.name} needs a size: set --input 16x112x112 (frames, height, width).")
        if "size" not in config.clip and not info:
            raise ValueError(f"No records at {config.dataset}: set the size of the features, --input STEPSxWIDTH.")
        blank = clips.blank_batch(info.inputs if info else {}, configs.clip_of(config), 1)
        inputs = {name: (x.shape[1:], x.dtype) for name, x in blank.items()}
    else:
        inputs = parse_size(size, config)
    shapes = {name: jax.ShapeDtypeStruct((batch_size, *shape), dtype) for name, (shape, dtype) in inputs.items()}
    return shapes, num_classes, described


def parse_size(size: str, config: ConfigDict) -> dict[str, tuple]:
    """Returns the shape and dtype of each input of one clip; arguments and errors like `find_inputs`."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", size):
        raise ValueError(
            f"--input {size} is not a size; use the form 16x112x112 (frames, height, width), 224x224 (height and "
            "width of an image) or 32x1024 (steps and width of features)."
        )
    numbers = tuple(map(int, size.split("x")))
    taken = inputs_of(config.model.name) or ["video"]  # make_model reports an unknown name
    if len(numbers) == 2 and "features" in taken:
        return {"features": (numbers, np.float32), "frame_mask": (numbers[:1], np.float32)}
    if "video" not in taken:
        raise ValueError(f"{config.model.name} takes features: set --input STEPSxWIDTH, such as 32x1024.")
    numbers = numbers if len(numbers) == 3 else (1, *numbers)
    channels = {"video": len(config.preprocess.mean), "flow": clips.CHANNELS["flow"]}
    streams = {name: ((*numbers, channels[name]), np.uint8) for name in configs.streams_of(config)}
    return streams | ({"tokens": ((NUM_WORDS,), np.int32)} if "tokens" in taken else {})


def described(config: ConfigDict, inputs: Inputs, num_classes: int, known_from: str) -> str:
    """Describes a network and its inputs in one line."""
    shown = ", ".join(f"{name} {'x'.join(map(str, x.shape))} {x.dtype}" for name, x in inputs.items())
    return f"{config.model.name}: {shown}; {num_classes} classes ({known_from})"
