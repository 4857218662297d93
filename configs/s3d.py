"""S3D: I3D with its kernels split into space and time (Xie et al., ECCV 2018).

    python -m vidjax.train --config configs/s3d.py --workdir runs/s3d
    python -m vidjax.train --config configs/s3d.py:paper --workdir runs/s3d_paper

An eighth of the channels; `configs/ladder/motion.py` has what it reaches on motion. `paper` is the recipe of the paper
on Kinetics-400, where it reports 72.2 % (table 2) from ImageNet's Inception-v1. Batch, rate and steps are from memory,
not read again. Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
    config.model = {"name": "s3d", "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """Xie et al., section 3: 56 GPUs of 6 clips, 140,000 steps, from ImageNet (config.init_from, which is not set)."""
    config = data.get_config("kinetics400", "64x224")
    config.augment.flip = True
    config.model = {"name": "s3d"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (100 / 140, 120 / 140)}
    config.batch_size, config.num_epochs = 336, 196.0  # 140,000 steps of 240,000 videos
    return config
