"""C3D (Tran et al., 2015) with an eighth of the channels and with BatchNorm, trained from scratch.

    python -m vidjax.train --config configs/c3d.py --workdir runs/c3d

480 test videos, one seed, on cores of an AMD EPYC: hit@1 100.0 % (100.0 % within pairs). With a learning rate of 2e-3,
four times as high, hit@1 79.0 % (99.8 % within pairs): docs/sight.md.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "c3d", "width": 0.125, "batch_norm": True, "dropout": 0.5}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 5e-4, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
