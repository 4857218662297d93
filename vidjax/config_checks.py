"""Checks of a config, and whether it goes with the records of its dataset."""

import inspect
from collections.abc import Callable

from ml_collections import ConfigDict

from vidjax import batch_augment, eval_protocols, flow, losses, models, optimizer, sharding
from vidjax.config import CLIP_AUGMENT, KEYS, VALIDATION_METRICS, batch_augment_of
from vidjax.data import clips

FLOWS = (*flow.METHODS, *models.FLOW_NETWORKS)  # computed on the device
FLOW_OPTIONS = ("config.flow", "config.flow_weights")


def check(config: ConfigDict):
    """Raises a ValueError for an invalid config; lists the valid choices."""
    if unknown := sorted(set(config) - set(KEYS)):
        raise ValueError(f"The config has no key {', '.join(unknown)}; valid keys are {', '.join(sorted(KEYS))}.")
    if missing := sorted(set(KEYS) - set(config)):
        lines = "".join(f"\n  {key}: {KEYS[key]}" for key in missing)
        raise ValueError(f"The config lacks{lines}\n(start from configs/common/data.py).")
    if config.loss.get("name") not in losses.LOSSES:
        raise ValueError(f"Unknown loss {config.loss.get('name')!r}; choose one of {', '.join(losses.LOSSES)}.")
    if config.dtype not in ("float32", "bfloat16", "float64"):
        raise ValueError(f"Unknown dtype {config.dtype!r}; choose float32 or bfloat16.")
    if config.target not in ("clip", "frame", "words", "flow"):
        raise ValueError(f"Unknown target {config.target!r}; choose clip, frame, words or flow.")
    if (config.target == "flow") != (config.loss.name in losses.FLOW_LOSSES):
        raise ValueError(f"config.target = 'flow' and the losses {', '.join(losses.FLOW_LOSSES)} need each other.")
    if config.target == "flow" and (config.flow or isinstance(config.clip.get("size", 0), int)):
        raise ValueError("config.target = 'flow' needs config.flow = '' and config.clip.size = (height, width).")
    if config.target == "flow" and not config.clip.get("eval_size", 1) and config.eval.batch_size > 1:
        raise ValueError(
            "config.clip.eval_size = () is for frames of any size, one pair at a time: set eval.batch_size = 1."
        )
    if config.target != "flow" and "eval_size" in config.clip:
        raise ValueError("config.clip.eval_size is for config.target = 'flow': remove it.")
    if config.flow not in ("", "stored", *FLOWS):
        raise ValueError(f"Unknown flow {config.flow!r}; choose '', stored, {', '.join(FLOWS)}.")
    check_flow_weights(config.flow, config.flow_weights)
    if config.augment.get("crop", "random") not in clips.CROPS:
        raise ValueError(f"Unknown crop {config.augment.crop!r}; choose one of {', '.join(clips.CROPS)}.")
    _check_arguments("loss", config.loss, losses.LOSSES[config.loss.name], extra=["name"])
    _check_arguments("optimizer", config.optimizer, optimizer.make_optimizer)
    _check_arguments("schedule", config.schedule, optimizer.make_schedule)
    _check_arguments("mesh", config.mesh, sharding.make_mesh)
    _check_arguments("clip", config.clip, clips.find_frames, extra=["size", "resize", "eval_size"])
    sizes = ("batch_size", "accumulate", "eval.batch_size", "eval.num_views", "eval.num_crops")
    for key in (*sizes, "log_every", "eval_every", "checkpoint_every"):
        group, _, name = key.rpartition(".")
        if (value := (config[group] if group else config).get(name, 1)) < 1:
            raise ValueError(f"config.{key} = {value} must be 1 or more.")
    for key, value in {
        "ema_decay": config.ema_decay,
        "loss.label_smoothing": config.loss.get("label_smoothing", 0),
    }.items():
        if not 0 <= value < 1:
            raise ValueError(f"config.{key} = {value} must be 0 or more, and below 1.")
    if config.num_epochs <= 0:
        raise ValueError(f"config.num_epochs = {config.num_epochs} must be more than 0: {KEYS['num_epochs']}.")
    if config.loss.name in losses.EMBEDDING_LOSSES:
        _check_embeddings(config)
    if (config.loss.name == "reconstruction") != (config.model.get("name") == "videomae_pretrain"):
        raise ValueError("The loss 'reconstruction' and the model 'videomae_pretrain' need each other.")
    if config.loss.name == "reconstruction" and (config.flow or config.target != "clip"):
        raise ValueError("The loss 'reconstruction' is over frames: set config.flow = '' and config.target = 'clip'.")
    if not 0 <= config.label_fraction <= 1:
        raise ValueError(
            f"config.label_fraction = {config.label_fraction} must be between 0 and 1: {KEYS['label_fraction']}."
        )
    if config.accumulate > 1 and config.clip.get("sampling") == "chunks":
        raise ValueError(
            "config.accumulate > 1 cannot be used with config.clip.sampling = 'chunks': a chunk continues in the same "
            "row of the next batch."
        )
    if models.needs_flow(config.model.get("name")) and not config.flow:
        raise ValueError(
            f"{config.model.name} sees optical flow: set config.flow to 'stored' or to a method ({', '.join(FLOWS)})."
        )
    if models.needs_flow(config.model.get("name")) and config.clip.get("sampling") == "segments":
        raise ValueError(
            f"{config.model.name} needs consecutive flow fields: choose another config.clip.sampling than 'segments', "
            "which takes one field per segment."
        )
    if config.flow not in ("", "stored"):
        if config.clip.num_frames < 2:
            raise ValueError("config.clip.num_frames = 1: optical flow needs two frames or more.")
        if config.target == "frame" or config.clip.get("sampling") in ("chunks", "segments"):
            raise ValueError(
                f"config.flow = {config.flow!r} computes one field fewer than a clip has frames: per-frame labels, "
                "chunks and segments go with config.flow = 'stored' only."
            )
    if unknown := sorted(set(config.augment) - {*CLIP_AUGMENT, *batch_augment.NAMES, "repeat"}):
        raise ValueError(f"config.augment has no {', '.join(unknown)}; it takes {KEYS['augment']}.")
    _check_augment(config)
    _check_keep_best(config)
    _check_arguments("eval", config.eval, clips.cut_views, extra=["batch_size", "protocol"])
    check_protocol(config)


def check_flow_weights(method: str, weights: str, options: tuple[str, str] = FLOW_OPTIONS):
    """Raises a ValueError for a network of optical flow without weights, or weights without a network.

    Args:
        options: what error messages call the method and the weights.
    """
    networks = ", ".join(models.FLOW_NETWORKS)
    if method in models.FLOW_NETWORKS and not weights:
        raise ValueError(
            f"{options[0]} {method} is a network: set {options[1]} to a name of vidjax.weights, a file, or the work "
            "directory of a run."
        )
    if weights and method not in models.FLOW_NETWORKS:
        raise ValueError(
            f"{options[1]} {weights} is for networks, not for {method!r}: remove it, or set {options[0]} to one of "
            f"{networks}."
        )


def _check_augment(config: ConfigDict):
    """Raises a ValueError if the augmentation of batches has invalid settings, or does not go with the config."""
    settings = batch_augment_of(config)
    batch_augment.check(**settings)
    names = ", ".join(f"augment.{name}" for name, value in settings.items() if value)
    if names and config.clip.get("sampling") == "chunks":
        raise ValueError(f"{names}: the chunks of a video would get different draws; turn it off for chunks.")
    if names and (config.flow or config.target == "flow"):
        raise ValueError(f"{names}: frames are augmented, not their optical flow; turn it off, or empty config.flow.")
    if settings.get("mixup") or settings.get("cutmix"):
        if config.target != "clip" or config.loss.name not in ("softmax", "sigmoid"):
            raise ValueError(
                "augment.mixup and augment.cutmix need config.target = 'clip' and the loss softmax or sigmoid, not "
                f"{config.target!r} and {config.loss.name!r}: the targets of two clips are mixed."
            )
    if config.augment.get("repeat", 0) > 1 and config.get("batch_classes"):
        raise ValueError("augment.repeat does not go with config.batch_classes, whose clips are all different.")


def check_protocol(config: ConfigDict):
    """Raises a ValueError if the views or the protocol of the evaluation are unknown, or do not go with the config."""
    if config.eval.get("num_crops", 1) not in clips.NUM_CROPS:
        raise ValueError(f"config.eval.num_crops = {config.eval.num_crops}: choose one of {clips.NUM_CROPS}.")
    name, protocol = config.eval.get("protocol", ""), eval_protocols.of(config.eval)
    if not name:
        return
    if config.loss.name not in ("softmax", "sigmoid") or config.target != "clip":
        raise ValueError(f"config.eval.protocol = {name!r} is for whole videos and the losses softmax and sigmoid.")
    if protocol.charades and config.loss.name != "sigmoid":
        raise ValueError(f"config.eval.protocol = {name!r} is for videos with several labels, the loss sigmoid.")
    if protocol.num_views > 1 and config.clip.get("sampling", "clip") != "clip":
        raise ValueError(
            f"config.eval.protocol = {name!r} cuts {protocol.num_views} clips, but config.clip.sampling = "
            f"{config.clip.sampling!r} covers a video once: empty the protocol, or set sampling to 'clip'."
        )


def _check_keep_best(config: ConfigDict):
    """Raises a ValueError if `keep_best` is unknown, or the config has no validation splits."""
    if not config.keep_best:
        return
    valid = [f"val_{name}" for name in VALIDATION_METRICS]
    if config.keep_best not in valid:
        raise ValueError(f"Unknown keep_best {config.keep_best!r}; choose one of {', '.join(valid)}.")
    if not config.val_splits:
        raise ValueError(
            f"config.keep_best = {config.keep_best!r} needs config.val_splits: a test split never selects anything."
        )
    if both := sorted(set(config.val_splits) & set(config.test_splits)):
        raise ValueError(
            f"config.keep_best = {config.keep_best!r} would choose the checkpoint by the test splits {both}: set "
            "other val_splits."
        )


def _check_embeddings(config: ConfigDict):
    """Raises a ValueError if the config does not go with a loss over pairs of clips."""
    name = config.loss.name
    if config.target != "clip":
        raise ValueError(f"The loss {name!r} needs one class per clip, not config.target = {config.target!r}.")
    if config.accumulate > 1:
        raise ValueError(
            f"config.accumulate = {config.accumulate}: the loss {name!r} compares all clips of a batch, and would miss "
            "the pairs across parts. Set it to 1, and lower batch_size or use model.remat to save memory."
        )
    if (name == "siamese") != (config.model.get("name") == "siamese"):
        raise ValueError(
            "The loss 'siamese' and the model 'siamese' need each other; other networks are embedders for contrastive, "
            "triplet and prototypical: config.model = {'name': 'embedding', 'network': {...}}."
        )


def check_target(config: ConfigDict, inputs: dict):
    """Raises a ValueError if the records do not hold the config's target; `inputs` is that of `DatasetInfo`."""
    if ("caption_length" in inputs) != (config.target == "words"):
        kind, valid = ("captions", "words") if "caption_length" in inputs else ("no captions", "clip or frame")
        raise ValueError(
            f"{config.dataset} holds {kind}, which does not go with config.target = {config.target!r}: choose {valid}."
        )
    if bool(inputs.get("true_flow")) != (config.target == "flow"):
        kind, valid = ("pairs of frames with", "flow") if "true_flow" in inputs else ("no", "clip or frame")
        raise ValueError(
            f"{config.dataset} holds {kind} true optical flow, which does not go with config.target = "
            f"{config.target!r}: choose {valid}."
        )
    if any(batch_augment_of(config).values()) and "prefix" in inputs:
        raise ValueError(
            f"{config.dataset} holds features, not frames: turn {', '.join(batch_augment.NAMES)} of config.augment off."
        )
    if config.flow and "prefix" in inputs:
        raise ValueError(f"{config.dataset} holds features, not frames, so has no optical flow: set config.flow = ''.")
    if config.flow == "stored" and inputs and "flow" not in inputs:
        raise ValueError(
            f"{config.dataset} holds no optical flow: make the records with --flow METHOD, or choose a method for "
            "config.flow."
        )
    if ("target" in inputs) != (config.loss.name == "squared_error"):
        kind, valid = "classes", "softmax or sigmoid"
        if "target" in inputs:
            kind, valid = "a series to forecast", "squared_error"
        raise ValueError(
            f"{config.dataset} holds {kind}, which does not go with the loss {config.loss.name!r}: choose {valid}."
        )


def _check_arguments(key: str, values: ConfigDict, function: Callable, extra=()):
    valid = [*inspect.signature(function).parameters, *extra]
    if unknown := sorted(set(values) - set(valid)):
        raise ValueError(f"config.{key} has no {', '.join(unknown)}; it takes {KEYS[key]}.")
