"""TITLE

    python -m vidjax.train --config configs/s3d.py --workdir runs/s3d
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py."""
    config = data.from_argument(argument or "motion,small")
    config.model = {"name": "s3d", "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
