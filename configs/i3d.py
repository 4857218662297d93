"""I3D: Inception-v1 inflated over time (Carreira and Zisserman, CVPR 2017).

    python -m vidjax.train --config configs/i3d.py --workdir runs/i3d
    python -m vidjax.train --config configs/i3d.py:paper --workdir runs/i3d_paper

An eighth of the channels; `configs/ladder/motion.py` has what it reaches on motion. `paper` is the recipe of the
authors' repository for RGB on Kinetics-400 from nothing: 68.4 % top-1 and 88.0 % top-5 of the test set (71.1 and 89.3
from ImageNet's Inception-v1). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
    config.model = {"name": "i3d", "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """https://github.com/google-deepmind/kinetics-i3d, README: 64 replicas of 6 clips, 115,000 steps."""
    config = data.get_config("kinetics400", "64x224")
    config.augment.flip = True
    config.model = {"name": "i3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (97 / 115, 108 / 115)}
    config.batch_size, config.num_epochs = 384, 184.0  # 115,000 steps of 240,000 videos
    return config
