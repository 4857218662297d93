"""Datasets by name and the settings that all configs share, in a small and a full size.

A config takes its data from here and sets its model and optimizer itself:

    config = data.get_config("motion", "small")
"""

from ml_collections import ConfigDict

# mean and std of each channel, in units of 0..255
MINUS_ONE_TO_ONE = {"mean": [127.5] * 3, "std": [127.5] * 3}  # Inception's and I3D's convention
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # torchvision's

DATASETS = {
    # 8 classes, 24 frames of 64x64 at 12 frames/s: python -m vidjax.data.make_records motion --out data/motion
    "motion": {
        "small": {"num_frames": 12, "frame_stride": 2, "size": 48, "resize": 48},
        "full": {"num_frames": 16, "frame_stride": 1, "size": 64, "resize": 0},
    },
}


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
    config.init_from = ""
    config.freeze = ()
    config.loss = ConfigDict({"name": "softmax", "label_smoothing": 0.0, "class_weights": ()})
    config.ema_decay = 0.0
    config.dtype = "float32"
    config.eval = ConfigDict({"num_views": 1, "num_crops": 1, "batch_size": 32})
    config.log_every = 10
    config.eval_every = 100
    config.checkpoint_every = 100
    config.mesh = ConfigDict({"fsdp": 1})
    config.num_threads = 0
    return config
