"""R(2+1)D-18: a ResNet-18 whose kernels are split into space and time (Tran et al., CVPR 2018).

    python -m vidjax.train --config configs/r2plus1d_18.py --workdir runs/r2plus1d_18
    python -m vidjax.train --config configs/r2plus1d_18.py:paper --workdir runs/r2plus1d_18_paper

An eighth of the channels; `configs/ladder/motion.py` has what it reaches on motion. `paper` is the recipe of the paper
on Kinetics-400, where it reports 56.8 % of clips and 68.0 % of videos (table 2, ten clips a video). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
    config.model = {"name": "r2plus1d_18", "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """Tran et al., sections 4.1 and 4.2: 45 epochs of a million clips in batches of 32, as of one GPU of 64."""
    config = data.get_config("kinetics400", "16x112")
    config.augment.flip = True
    config.model = {"name": "r2plus1d_18"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
    config.schedule = {"name": "steps", "learning_rate": 0.01, "boundaries": (20 / 45, 30 / 45, 40 / 45)}
    config.schedule.warmup_steps = 10 * 1_000_000 // 32
    config.batch_size, config.num_epochs = 32, 188.0  # 45 million clips of 240,000 videos
    config.eval.num_views = 10
    return config
