"""A small 2-D network on CIFAR-10; an image is a video of one frame.

    python -m vidjax.data.make_records tfds:cifar10 --out data/cifar10 --format png --short_side 0 --num_shards 10
    python -m vidjax.train --config configs/cifar10.py --workdir runs/cifar10

79,626 parameters. Accuracy: not measured.
"""

from configs.common import data


def get_config():
    config = data.get_config("cifar10")
    config.val_splits = ()  # the dataset has no validation split, and test must not select anything
    config.augment.flip = True
    config.model = {"name": "small_cnn", "dropout": 0.1}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 500}
    config.batch_size, config.num_epochs = 128, 30.0
    return config
