"""Datasets by name, in a small and a full size, and the settings shared by all configs.

A config declares its settings with defaults, takes its data from here, and sets its own model and optimizer:

    arg = data.parse(argument, dataset="motion", size="small", fold="", cell="lstm")
    config = data.get_config(arg.dataset, arg.size, arg.fold)

A command then gives settings as in `configs/frame_rnn.py:dataset=ut_interaction_i3d,fold=set1/0,cell=gru`.
"""

from types import SimpleNamespace

from ml_collections import ConfigDict

# mean and std per channel, in units of 0..255
MINUS_ONE_TO_ONE = {"mean": [127.5] * 3, "std": [127.5] * 3}  # the convention of Inception and I3D
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # the convention of torchvision

INK = {"mean": [255.0] * 3, "std": [-255.0] * 3}  # ink 1 and paper 0, for drawings in black on white

CIFAR10 = {"num_frames": 1, "frame_stride": 1, "size": 32, "resize": 0}
MOTION = {
    "small": {"num_frames": 12, "frame_stride": 2, "size": 48, "resize": 48},
    "full": {"num_frames": 16, "frame_stride": 1, "size": 64, "resize": 0},
}
SIGHT = {  # frames and their side: videos of configs/ladder/sight.py, which says how they are made
    "direction": (16, 32),
    "form": (12, 48),
    "gap": (192, 32),
    "speed": (16, 32),
    "count": (48, 32),
    "small": (12, 48),
    "order": (24, 32),
}
DATASETS = {
    # 8 classes, 24 frames of 64x64 at 12 frames/s: python -m vidjax.data.make_records motion --out data/motion
    "motion": MOTION,
    # With 6,400 training videos: --motion_videos 6400 160 480 --out data/motion_large
    "motion_large": MOTION,
    # 4 colours times 2 directions: appearance gives half of the label, motion the other half: make_records coloured
    # --short_side 0 --flow opencv_dis --out data/coloured
    "coloured": MOTION,
    # motion with four clips per video and one label per frame: configs/frame_labels.py
    "motion_frames": {
        "small": {"num_frames": 48, "frame_stride": 2, "size": 48, "resize": 48},
        "full": {"num_frames": 96, "frame_stride": 1, "size": 64, "resize": 0},
    },
    # Moving shapes with captions: make_records captions --short_side 0 --out data/captions
    "captions": MOTION,
    # Your own folder of videos: make_records path/to/videos --fps 12 --short_side 128 --out data/mine
    "mine": {
        "small": {"num_frames": 16, "frame_stride": 1, "size": 64, "resize": 72},
        "full": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": 128},
    },
    # 10 classes; an image is a video of one frame: python -m vidjax.data.make_records tfds:cifar10 --out data/cifar10
    # --format png --short_side 0 --num_shards 10
    "cifar10": {"small": CIFAR10, "full": CIFAR10},
    # Drawings of characters: python -m vidjax.data.make_records omniglot DIR --short_side 0 --format png --out
    # data/omniglot
    "omniglot": {
        "small": {"num_frames": 1, "frame_stride": 1, "size": 28, "resize": 28},
        "full": {"num_frames": 1, "frame_stride": 1, "size": 105, "resize": 0},
    },
    # Videos of a pen that draws a character, without ink: python -m vidjax.data.make_records strokes DIR --pen_only
    # --short_side 0 --out data/gestures
    "gestures": {"small": {"num_frames": 12, "frame_stride": 1, "size": 28, "resize": 28, "sampling": "segments"}},
    # The places of the pen: python -m vidjax.data.make_records trajectories DIR --out data/trajectories
    "trajectories": {"small": {"num_frames": 64, "sampling": "segments"}},
    # 6 interactions, 20 sequences of about 6 videos: python -m vidjax.data.make_records labels.csv --split_by sequence
    # --folds configs/common/ut_interaction_folds.json --short_side 0 --out data/ut_interaction; for two streams add
    # --flow opencv_dis
    "ut_interaction": {
        "small": {"num_frames": 16, "frame_stride": 3, "size": 64, "resize": (72, 72)},
        "full": {"num_frames": 16, "frame_stride": 3, "size": 112, "resize": (128, 128)},
    },
    # I3D's features, five steps per video: docs/weights.md, "Features"
    "ut_interaction_i3d": {"small": {"num_frames": 5}},
    # VGG16's convolutional features of 16 frames: python -m vidjax.features --weights vgg16_imagenet --records
    # data/ut_interaction --num_frames 16 --sampling segments --resize 224 224 --out data/ut_interaction_vgg16
    "ut_interaction_vgg16": {"small": {"num_frames": 16}},
    # AlexNet's features of 16 frames, and of stacks of ten flow fields: configs/two_stream.py
    "ut_interaction_alexnet": {"small": {"num_frames": 16}},
    "ut_interaction_alexnet_flow": {"small": {"num_frames": 18}},
    # 101 classes: python -m vidjax.data.make_records ucf101 --videos UCF-101 --annotations ucfTrainTestlist
    # --flow opencv_dis --out data/ucf101
    "ucf101": {
        "small": {"num_frames": 16, "frame_stride": 2, "size": 64, "resize": (72, 96)},
        "full": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171)},
    },
    # Features of UCF101, made like those of UT-Interaction
    "ucf101_i3d": {"small": {"num_frames": 5}},
    "ucf101_alexnet": {"small": {"num_frames": 16}},
    # Windows of series: python -m vidjax.data.synthetic.series steps --window 3 --period 3 --out data/steps
    "steps": {"small": {"num_frames": 3}},
    # python -m vidjax.data.synthetic.series airline --log --out data/airline
    "airline": {"small": {"num_frames": 12}},
    **{
        f"sight_{dial}": {"small": {"num_frames": num_frames, "frame_stride": 1, "size": size, "resize": 0}}
        for dial, (num_frames, size) in SIGHT.items()
    },
}


def get_config(dataset: str, size: str = "small", fold: str = "") -> ConfigDict:
    """Returns a config without model, optimizer and schedule.

    Args:
        dataset: a key of `DATASETS`.
        size: size of the dataset, "small" or "full".
        fold: "NAME/NUMBER" of the folds of the records, such as "set1/0"; empty for the splits train, val and test.

    Raises:
        ValueError: for an unknown dataset or size; lists the valid ones.
    """
    if dataset not in DATASETS:
        raise ValueError(f"Unknown dataset {dataset!r}; choose one of {', '.join(sorted(DATASETS))}.")
    if size not in DATASETS[dataset]:
        raise ValueError(f"Unknown size {size!r} of {dataset}; choose one of {', '.join(sorted(DATASETS[dataset]))}.")
    config = shared(f"data/{dataset}", **DATASETS[dataset][size])
    config.fold = fold
    return config


def shared(dataset: str, **clip) -> ConfigDict:
    """Returns a config of the settings shared by all configs.

    Args:
        dataset: directory of the records.
        **clip: `num_frames`; for videos also `frame_stride`, `size` and `resize`.
    """
    config = ConfigDict()
    config.seed = 0
    config.dataset = dataset
    config.train_splits = ("train",)
    config.label_fraction = 0.0
    config.val_splits = ("val",)
    config.test_splits = ("test",)
    config.fold = ""
    config.clip = ConfigDict({"sampling": "clip", **clip})
    config.augment = ConfigDict({"crop": "random", "flip": False, "colour": 0.0})
    config.augment.update({"affine": 0.0, "rand_augment": (), "erase": 0.0, "mixup": 0.0, "cutmix": 0.0, "repeat": 0})
    config.preprocess = ConfigDict(MINUS_ONE_TO_ONE)
    config.flow, config.flow_weights = "", ""
    config.init_from, config.inflation = "", "repeat"
    config.freeze = ()
    config.target = "clip"
    config.loss = ConfigDict({"name": "softmax", "label_smoothing": 0.0, "class_weights": ()})
    config.accumulate = 1
    config.batch_classes = 0
    config.ema_decay = 0.0
    config.dtype = "float32"
    config.eval = ConfigDict({"num_views": 1, "num_crops": 1, "batch_size": 32, "protocol": ""})
    config.log_every = 10
    config.eval_every = 100
    config.checkpoint_every = 100
    config.keep_best = ""
    config.mesh = ConfigDict({"fsdp": 1})
    config.num_threads = 0
    return config


def is_video(config: ConfigDict) -> bool:
    """Whether a config takes videos rather than stored features."""
    return "size" in config.clip


def parse(argument: str, **defaults) -> SimpleNamespace:
    """Parses the argument of a config file, NAME=VALUE,NAME=VALUE.

    Args:
        **defaults: default of each setting; a value has the type of its default, a boolean is true or false.

    Raises:
        ValueError: for an unknown setting or a value of another type; lists the valid settings.
    """
    names = ", ".join(f"{name}={value}" for name, value in defaults.items())
    settings = dict(defaults)
    for part in filter(None, argument.split(",")):
        name, equals, value = part.partition("=")
        if not equals or name not in defaults:
            raise ValueError(f"Unknown setting {part!r} of the config; give NAME=VALUE, with defaults {names}.")
        kind = type(defaults[name])
        try:
            settings[name] = {"true": True, "false": False}[value] if kind is bool else kind(value)
        except (ValueError, KeyError):
            wanted = "true or false" if kind is bool else f"a value like {defaults[name]!r}"
            raise ValueError(f"The setting {part!r} of the config must be {wanted}.") from None
    return SimpleNamespace(**settings)
