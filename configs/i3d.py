"""I3D: Inception-v1 inflated over time (Carreira and Zisserman, CVPR 2017).

    python -m vidjax.train --config configs/i3d.py --workdir runs/i3d
    python -m vidjax.train --config configs/papers/i3d_kinetics400.py --workdir runs/i3d_paper

An eighth of the channels. `configs/ladder/motion.py` measures it on motion.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "i3d", "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
