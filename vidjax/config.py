"""The keys of a config, what follows from them, and the `config.json` of a work directory."""

import json
from collections.abc import Sequence
from pathlib import Path

import flax
import jax
from ml_collections import ConfigDict

import vidjax
from vidjax import batch_augment, eval_protocols, flow, losses, models, output_paths
from vidjax.data.folds import find_fold

KEYS = {
    "seed": "seed of the initial parameters, the clip order and all random draws",
    "dataset": "directory of records",
    "train_splits": "splits to train on",
    "label_fraction": "share of the training videos of each class to use, drawn by seed; 0 for all",
    "val_splits": "splits to evaluate during training; may be empty",
    "test_splits": "splits of the final evaluation",
    "fold": "fold of the dataset, such as set1/0 or split1, which sets these splits; empty to keep them",
    "clip": "num_frames, frame_stride, size, resize, sampling, num_chunks: the clip that the model sees; for true flow "
    "size and eval_size, (height, width) of crops in training and of frames in evaluation; eval_size = () for frames "
    "of any size, with eval.batch_size = 1",
    "augment": "crop, flip, colour: augmentation of training clips; affine, rand_augment, erase, mixup, cutmix: of "
    "batches, on the device; repeat: clips of the same video in a row, each with its own draws; 0 for one",
    "preprocess": "mean, std: per channel of the frames, in units of 0..255; optical flow has its own",
    "flow": "optical flow for the model: stored (in the records), or a method or a network (computed on the device); "
    "empty for none",
    "flow_weights": "weights of the network of config.flow, which is frozen: a name of vidjax.weights, a file or a "
    "work directory; empty for other methods",
    "model": "name and arguments of the model",
    "init_from": "initial weights: a name of vidjax.weights, a file or a work directory; empty to initialise randomly",
    "inflation": "how init_from inflates 2-D kernels to 3-D: repeat or centre",
    "freeze": "regular expressions of the parameters to freeze, together with their BatchNorm statistics",
    "target": "clip (one label or set of labels per clip), frame (the same for each frame), words (a caption) or flow "
    "(the true optical flow of a pair of frames)",
    "loss": "name (softmax, sigmoid, squared_error, segmentation, reconstruction, or contrastive, triplet, "
    "prototypical, siamese for embeddings, or flow_sequence, flow_pyramid) and its arguments: label_smoothing, "
    "class_weights, smoothing, margin, mining, gamma, weights",
    "optimizer": "name (sgd or adamw), momentum, nesterov, beta2, weight_decay, clip_norm, layer_decay",
    "schedule": "name (cosine, linear, steps or constant), learning_rate, warmup_steps, boundaries, factor",
    "accumulate": "parts in which a batch is processed, to save memory; BatchNorm normalises each part by itself",
    "ema_decay": "decay of the moving average of the parameters, which evaluation then uses; 0 for none",
    "dtype": "compute type: float32 or bfloat16",
    "batch_size": "clips in a global batch",
    "batch_classes": "classes in a global batch, all with equally many clips; 0 to draw clips whatever their class",
    "num_epochs": "passes over the training splits; may be a fraction",
    "eval": "num_views, num_crops, batch_size: settings of the final evaluation; protocol: a name of `eval_protocols`, "
    "which sets these views and how they are pooled; empty for the mean of probabilities",
    "log_every": "steps between lines of metrics.jsonl",
    "eval_every": "steps between passes over the validation splits",
    "checkpoint_every": "steps between checkpoints",
    "keep_best": "validation metric of the checkpoint to keep and use, such as val_loss; empty to use the last one",
    "mesh": "fsdp: number of devices over which the parameters are split",
    "num_threads": "threads that read and decode clips; 0 for one per core",
}
CLIP_AUGMENT = ("crop", "flip", "colour")  # the arguments of `clips.train_clip` among `config.augment`
# val_loss, ... in metrics.jsonl
VALIDATION_METRICS = ("loss", "top1", "top5", "mAP", "rmse", "exact", "recall_at_1", "epe")
MAY_CHANGE = ("log_every", "eval_every", "checkpoint_every", "mesh", "num_threads", "eval")  # when a run resumes


def describe_keys() -> str:
    """All keys of a config with their meaning, one line per key."""
    return "\n".join(f"  {key}: {meaning}" for key, meaning in KEYS.items())


def batch_augment_of(config: ConfigDict) -> dict:
    """The settings of `batch_augment.augment_batch`."""
    return {name: value for name, value in config.get("augment", {}).items() if name in batch_augment.NAMES}


def streams_of(config: ConfigDict) -> tuple[str, ...]:
    """The streams of a record that clips are cut from, see `clips.train_clip`: frames, stored flow or both."""
    if config.get("flow") != "stored":
        return ("video",)
    return ("video", "flow") if models.sees_both(config.model.name) else ("flow",)


def clip_of(config: ConfigDict) -> dict:
    """`config.clip` as a dict; with `streams` if the config takes stored flow."""
    return config.clip.to_dict() | ({"streams": streams_of(config)} if config.get("flow") == "stored" else {})


def view_arguments_of(config, num_views: int, num_crops: int) -> dict:
    """The arguments of `pipeline.eval_batches` for the views of a run's config."""
    kinds = {"multi_label": config.loss.name == "sigmoid", "per_frame": config.get("target") == "frame"}
    clip = clip_of(config)
    whole = {"size": clip.pop("eval_size")} if "eval_size" in clip else {}
    return {**clip, **whole, "num_views": num_views, "num_crops": num_crops, **kinds}


def spec_of(config: ConfigDict) -> dict:
    """The spec of `preprocess`: mean and std from `config.preprocess` or, for flow alone, those of optical flow."""
    if not config.get("flow"):
        return config.preprocess.to_dict()
    normalised = config.preprocess.to_dict() if models.sees_both(config.model.name) else flow.NORMALISED
    return {**normalised, "flow": "" if config.flow == "stored" else config.flow}


def model_from(config: ConfigDict, num_classes: int):
    """Builds the model that `config.model` names; without a classifier if the loss needs none.

    Raises:
        ValueError: for an unknown name or argument.
    """
    num_classes = None if config.loss.name in losses.WITHOUT_CLASSES else num_classes
    arguments = {name: value for name, value in config.model.to_dict().items() if name != "name"}
    return models.make_model(config.model.name, num_classes, dtype=config.dtype, **arguments)


def with_fold(config: ConfigDict) -> ConfigDict:
    """The config with the splits of `config.fold`, if it has one; without validation, because nothing is selected.

    Raises:
        ValueError: if the dataset has no such fold.
    """
    if not config.get("fold"):
        return config
    config = ConfigDict(config.to_dict())
    config.train_splits, config.test_splits = map(tuple, find_fold(Path(config.dataset), config.fold))
    config.val_splits = ()
    return config


def with_protocol(config: ConfigDict, name: str | None = None) -> ConfigDict:
    """The config with the views of `config.eval.protocol`, if it has one.

    Args:
        name: replaces `config.eval.protocol`.

    Raises:
        ValueError: for an unknown protocol.
    """
    if not (name or "eval" in config and config.eval.get("protocol")):
        return config
    config = ConfigDict(config.to_dict())
    config.eval.protocol = name or config.eval.protocol
    protocol = eval_protocols.of(config.eval)
    config.eval.num_views, config.eval.num_crops = protocol.num_views, protocol.num_crops
    return config


def with_whole_frames(config: ConfigDict) -> ConfigDict:
    """The config of a run on true flow, that evaluates frames of any size, one pair at a time."""
    config = ConfigDict(config.to_dict())
    config.clip.eval_size, config.eval.batch_size = (), 1
    return config


def resolved(config: ConfigDict) -> ConfigDict:
    """The config with the splits of its fold and the views of its protocol, see `with_fold` and `with_protocol`."""
    return with_protocol(with_fold(config))


def write(workdir: Path, config: ConfigDict, labels: list[str], inputs: dict):
    """Writes `config.json`; first checks that an existing one holds the same config, labels and inputs.

    With several processes, all of them check, so that all of them stop, and the first one writes.

    Args:
        labels, inputs: those of the records, see `dataset_info.DatasetInfo`.

    Raises:
        ValueError: if the directory holds a run of another config; lists the keys that differ.
    """
    path = workdir / "config.json"
    content = {"config": json.loads(config.to_json()), "labels": labels, "inputs": inputs}
    content["versions"] = {"vidjax": vidjax.__version__, "jax": jax.__version__, "flax": flax.__version__}
    content["started_in"] = str(Path.cwd())  # the base of a relative config.dataset
    if path.exists():
        before = read_json(path, ("config", "labels", "inputs"))
        differing = differences(before["config"], config, started_in=before.get("started_in", ""))
        for key, value in (("labels", labels), ("inputs", inputs)):
            if before[key] != value:
                differing.append(f"\n  {key}: {before[key]} there, {value} now")
        if differing:
            raise ValueError(f"{workdir} holds a run of another config:{''.join(differing)}\nUse another --workdir.")
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        output_paths.write_whole(path, json.dumps(content, indent=2) + "\n")


def differences(
    before: dict, config: ConfigDict, may_change: Sequence[str] = MAY_CHANGE, *, started_in: str = ""
) -> list[str]:
    """The settings that differ between a config and an earlier one, one line per setting.

    Args:
        before: the earlier config. A key that it lacks is newer, and does not differ if it is off (0 or empty); so
            with a key of a group, such as `augment`.
        may_change: keys to ignore.
        started_in: the directory in which the earlier run was started; the base of a relative `before["dataset"]`.
    """

    def is_same(key: str, value) -> bool:
        earlier = before.get(key)
        if isinstance(value, dict) and isinstance(earlier, dict):
            value = {name: x for name, x in value.items() if name in earlier or x}
        if key == "dataset" and earlier and value:
            return earlier == value or Path(started_in, earlier).resolve() == Path(value).resolve()
        return earlier == value or key not in before and not value

    return [
        f"\n  {key}: {before.get(key)} there, {value} now"
        for key, value in json.loads(config.to_json()).items()
        if key not in may_change and not is_same(key, value)
    ]


def read(workdir: Path) -> tuple[ConfigDict, list[str], dict]:
    """Reads the config, the labels and the inputs of a run, see `write`.

    A relative `config.dataset` that exists only where the run was started is returned as an absolute path, and so is
    `config.flow_weights`.

    Raises:
        ValueError: if the directory holds no readable `config.json`.
    """
    path = Path(workdir) / "config.json"
    if not path.exists():
        raise ValueError(f"{workdir} is not a work directory: it has no config.json. Train with vidjax.train first.")
    content = read_json(path, ("config", "labels", "inputs"))
    config = ConfigDict(content["config"])
    for name in ("dataset", "flow_weights"):
        if config.get(name):
            there, here = _places(content, name)
            config[name] = str(there) if there.exists() and there.resolve() != here.resolve() else config[name]
    return config, content["labels"], content["inputs"]


def check_dataset(workdir: Path):
    """Raises a ValueError if a run's dataset exists neither where the run was started nor here; names both places.

    Also raises the errors of `read`.
    """
    config, _, _ = read(workdir)
    if not Path(config.dataset).is_dir():
        places = _places(read_json(Path(workdir) / "config.json"), "dataset")
        tried = " and ".join(dict.fromkeys(map(str, places)))
        raise ValueError(
            f"No dataset at {tried}, on which {workdir} was trained. Make the records again or, if they were moved, "
            "give their directory: vidjax.evaluate --dataset DIR."
        )


def _places(content: dict, name: str) -> tuple[Path, Path]:
    """A path in a run's config, relative to the directory in which the run was started and to the current one."""
    path = content["config"][name]
    return Path(content.get("started_in", ""), path), Path.cwd() / path


def read_json(path: Path, keys: Sequence[str] = ()) -> dict:
    """Reads a JSON object. Raises a ValueError with the path if it cannot be read or lacks one of these keys."""
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object: it holds {str(content)[:40]}.")
    if missing := [key for key in keys if key not in content]:
        raise ValueError(f"{path} lacks {', '.join(missing)}.")
    return content
