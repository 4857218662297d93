"""C3D (Tran et al., 2015) with an eighth of the channels, and with BatchNorm, to train from nothing.

    python -m vidjax.train --config configs/c3d.py --workdir runs/c3d

480 test videos, one seed, on 2 cores of an AMD EPYC: hit@1 79.0 % (99.8 % within pairs) in 2.6 minutes.
`paper` is the recipe of the
paper on Sports-1M, from nothing: 44.9 % of clips, 60.0 % of videos (table 2). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
    config.model = {"name": "c3d", "width": 0.125, "batch_norm": True, "dropout": 0.5}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """Tran et al., section 3.2: 1.9 million steps, the rate halved every 150,000. Weight decay: not in the paper."""
    config = data.get_config("sports1m", "16x112")
    config.augment.flip = True
    config.model = {"name": "c3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    boundaries = tuple(150_000 * i / 1_900_000 for i in range(1, 13))
    config.schedule = {"name": "steps", "learning_rate": 3e-3, "boundaries": boundaries, "factor": 0.5}
    config.batch_size, config.num_epochs = 30, 71.0  # 1.9 million steps of 800,000 videos
    config.eval.num_views = 10
    return config
