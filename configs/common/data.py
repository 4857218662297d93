"""Datasets by name and the settings that all configs share, in a small and a full size.

A config takes its data from here and sets its model and optimizer itself:

    config = data.get_config("motion", "small")

or from the argument of a config file, `configs/frame_rnn.py:motion,small`:

    config = data.from_argument(argument)
"""

from ml_collections import ConfigDict

# mean and std of each channel, in units of 0..255
MINUS_ONE_TO_ONE = {"mean": [127.5] * 3, "std": [127.5] * 3}  # Inception's and I3D's convention
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # torchvision's

CIFAR10 = {"num_frames": 1, "frame_stride": 1, "size": 32, "resize": 0}
MOTION = {
    "small": {"num_frames": 12, "frame_stride": 2, "size": 48, "resize": 48},
    "full": {"num_frames": 16, "frame_stride": 1, "size": 64, "resize": 0},
}
DATASETS = {
    # 8 classes, 24 frames of 64x64 at 12 frames/s: python -m vidjax.data.make_records motion --out data/motion
    "motion": MOTION,
    # With 6,400 training videos: --motion_videos 6400 160 480 --out data/motion_large
    "motion_large": MOTION,
    # 4 colours times 2 directions, appearance and motion each half of the label: make_records coloured --short_side 0
    # --flow opencv_dis --out data/coloured
    "coloured": MOTION,
    # The same as motion, four clips in a row and one label a frame: configs/frame_labels.py
    "motion_frames": {
        "small": {"num_frames": 48, "frame_stride": 2, "size": 48, "resize": 48},
        "full": {"num_frames": 96, "frame_stride": 1, "size": 64, "resize": 0},
    },
    # Shapes that move, and captions: make_records captions --short_side 0 --out data/captions
    "captions": MOTION,
    # Your own folder of videos: make_records path/to/videos --fps 12 --short_side 128 --out data/mine
    "mine": {
        "small": {"num_frames": 16, "frame_stride": 1, "size": 64, "resize": 72},
        "full": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": 128},
    },
    # 10 classes, an image is a video of one frame: python -m vidjax.data.make_records tfds:cifar10 --out data/cifar10
    # --format png --short_side 0 --num_shards 10
    "cifar10": {"small": CIFAR10, "full": CIFAR10},
    # 6 interactions, 20 sequences of about 6 videos: python -m vidjax.data.make_records labels.csv --split_by sequence
    # --short_side 0 --out data/ut_interaction, and for two streams --flow opencv_dis
    "ut_interaction": {
        "small": {"num_frames": 16, "frame_stride": 3, "size": 64, "resize": (72, 72)},
        "full": {"num_frames": 16, "frame_stride": 3, "size": 112, "resize": (128, 128)},
    },
    # Five steps of I3D's features a video: README.md, "Features"
    "ut_interaction_i3d": {"small": {"num_frames": 5}},
    # VGG16's convolutions on 16 frames: python -m vidjax.features --weights vgg16_imagenet --records
    # data/ut_interaction --num_frames 16 --sampling segments --resize 224 224 --out data/ut_interaction_vgg16
    "ut_interaction_vgg16": {"small": {"num_frames": 16}},
    # AlexNet's in the same way, and on stacks of ten fields of flow: configs/two_stream.py
    "ut_interaction_alexnet": {"small": {"num_frames": 16}},
    "ut_interaction_alexnet_flow": {"small": {"num_frames": 18}},
    # 101 classes, 25 groups of each: python -m vidjax.data.make_records labels.csv --split_by group --out data/ucf101
    # --flow opencv_dis, with the columns path,label,group. small and full are for the ladder, the others for papers
    "ucf101": {
        "small": {"num_frames": 16, "frame_stride": 2, "size": 64, "resize": (72, 96)},
        "full": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171)},
        "1x224": {"num_frames": 1, "frame_stride": 1, "size": 224, "resize": 256},
        "10x224": {"num_frames": 10, "frame_stride": 1, "size": 224, "resize": 256},
        "16x224": {"num_frames": 16, "frame_stride": 1, "size": 224, "resize": (240, 320)},
        "30x224": {"num_frames": 30, "frame_stride": 1, "size": 224, "resize": 256},
        "50x224": {"num_frames": 50, "frame_stride": 1, "size": 224, "resize": 256},
    },
    # Features of UCF101, as of UT-Interaction
    "ucf101_i3d": {"small": {"num_frames": 5}},
    "ucf101_alexnet": {"small": {"num_frames": 16}},
    # What papers report on: make_records with a CSV of the downloaded videos, none of which were here
    "kinetics400": {
        "16x112": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171)},
        "64x224": {"num_frames": 64, "frame_stride": 1, "size": 224, "resize": 256},
    },
    "sports1m": {
        "16x112": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171)},
        "10x170": {"num_frames": 10, "frame_stride": 1, "size": 170, "resize": (200, 200)},
    },
    "activitynet_c3d": {"small": {"num_frames": 20}},  # features of C3D, one of 16 frames
    "50salads": {"small": {"num_frames": 256}},  # features of frames, one label a frame
    # Windows of series: python -m vidjax.data.synthetic.series steps --window 3 --period 3 --out data/steps
    "steps": {"small": {"num_frames": 3}},
    # python -m vidjax.data.synthetic.series airline --log --out data/airline
    "airline": {"small": {"num_frames": 12}},
}


def leave_one_out(splits: list[str]) -> list[tuple[list[str], list[str]]]:
    """Folds in which each of the splits is tested once, and the others are trained on."""
    return [([other for other in splits if other != split], [split]) for split in splits]


# Folds by dataset and name: the splits that are trained on, and those that are tested
UT_INTERACTION = {  # leave one sequence out, within each set (Ryoo and Aggarwal, 2010)
    "set1": leave_one_out([f"sequence_{i}" for i in range(1, 11)]),
    "set2": leave_one_out([f"sequence_{i}" for i in range(11, 21)]),
}
FOLDS = {name: UT_INTERACTION for name in DATASETS if name.startswith("ut_interaction")}
UT_INTERACTION["sequence_1"] = UT_INTERACTION["set1"][:1]  # one fold, of 6 test videos
UCF101 = [f"group_{i}" for i in range(1, 26)]  # the three official splits test 7 groups each (Soomro et al., 2012)
FOLDS["ucf101"] = {
    f"split{i + 1}": [(UCF101[: 7 * i] + UCF101[7 * i + 7 :], UCF101[7 * i : 7 * i + 7])] for i in range(3)
}
FOLDS["ucf101_i3d"] = FOLDS["ucf101_alexnet"] = FOLDS["ucf101"]
FOLDS["airline"] = {"choose": [(["train"], ["val"])], "test": [(["train", "val"], ["test"])]}


def folds(dataset: str, name: str) -> list[tuple[list[str], list[str]]]:
    """The (train_splits, test_splits) of each fold.

    Raises:
        ValueError: for an unknown dataset or name.
    """
    if name not in FOLDS.get(dataset, {}):
        known = [f"{dataset}:{name}" for dataset, names in FOLDS.items() for name in names]
        raise ValueError(f"Unknown folds {dataset}:{name}; configs/common/data.py has {', '.join(known)}.")
    return FOLDS[dataset][name]


def get_config(dataset: str, size: str) -> ConfigDict:
    """The shared part of a config: everything but model, optimizer and schedule.

    Raises:
        ValueError: for an unknown dataset or size.
    """
    if dataset not in DATASETS:
        raise ValueError(f"Unknown dataset {dataset!r}; configs/common/data.py has {sorted(DATASETS)}.")
    if size not in DATASETS[dataset]:
        raise ValueError(f"Unknown size {size!r} of {dataset}; it has {sorted(DATASETS[dataset])}.")
    config = ConfigDict()
    config.seed = 0
    config.dataset = f"data/{dataset}"
    config.train_splits = ("train",)
    config.val_splits = ("val",)
    config.test_splits = ("test",)
    config.clip = ConfigDict({"sampling": "clip", **DATASETS[dataset][size]})
    config.augment = ConfigDict({"crop": "random", "flip": False, "colour": 0.0})
    config.preprocess = ConfigDict(MINUS_ONE_TO_ONE)
    config.flow = ""
    config.init_from, config.inflation = "", "repeat"
    config.freeze = ()
    config.target = "clip"
    config.loss = ConfigDict({"name": "softmax", "label_smoothing": 0.0, "class_weights": ()})
    config.accumulate = 1
    config.ema_decay = 0.0
    config.dtype = "float32"
    config.eval = ConfigDict({"num_views": 1, "num_crops": 1, "batch_size": 32})
    config.log_every = 10
    config.eval_every = 100
    config.checkpoint_every = 100
    config.mesh = ConfigDict({"fsdp": 1})
    config.num_threads = 0
    return config


def split_argument(argument: str, defaults: dict, dataset: str = "motion,small") -> tuple[str, dict]:
    """Splits the argument of a config file into that of `from_argument` and the settings NAME=VALUE after it.

    Args:
        defaults: of each setting that there is; values have its type.
        dataset: the first part, where there are settings alone.

    Raises:
        ValueError: for a setting that there is not; lists those there are.
    """
    parts = argument.split(",")
    chosen = dict(part.split("=", 1) for part in parts if "=" in part)
    if unknown := sorted(set(chosen) - set(defaults)):
        raise ValueError(f"There is no setting {', '.join(unknown)}; valid ones are {', '.join(defaults)}.")
    settings = {name: type(value)(chosen.get(name, value)) for name, value in defaults.items()}
    return ",".join(part for part in parts if part and "=" not in part) or dataset, settings


def from_argument(argument: str) -> ConfigDict:
    """`DATASET,SIZE` as of `get_config`, or `DATASET,SIZE,FOLDS,NUMBER` for one fold: ut_interaction_i3d,small,set1,0.

    Raises:
        ValueError: for an unknown dataset, size, name of folds, or number of a fold.
    """
    parts = argument.split(",")
    if len(parts) not in (2, 4):
        raise ValueError(f"{argument!r} is neither DATASET,SIZE nor DATASET,SIZE,FOLDS,NUMBER.")
    config = get_config(*parts[:2])
    if len(parts) == 4:
        all_folds = folds(parts[0], parts[2])
        if parts[3] not in map(str, range(len(all_folds))):
            raise ValueError(f"{parts[0]}:{parts[2]} has the folds 0 to {len(all_folds) - 1}, not {parts[3]}.")
        train_splits, test_splits = all_folds[int(parts[3])]
        config.train_splits, config.test_splits = tuple(train_splits), tuple(test_splits)
        config.val_splits = ()
    return config
