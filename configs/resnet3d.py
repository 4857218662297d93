"""ResNet-18 over space and time (Tran et al., CVPR 2018): R3D, MC3 and R(2+1)D.

    python -m vidjax.train --config configs/resnet3d.py --workdir runs/r2plus1d_18
    python -m vidjax.train --config configs/resnet3d.py:network=mc3_18 --workdir runs/mc3_18

R3D has 3x3x3 kernels; MC3 has them in its lower layers only; R(2+1)D splits them into space and time. An eighth of the
channels. `configs/ladder/motion.py` measures them on motion; `configs/papers/` has the published recipes.
"""

from configs.common import data

NETWORKS = ("r3d_18", "r3d_34", "mc3_18", "r2plus1d_18", "r2plus1d_34")


def get_config(argument=""):
    """`network` is one of `NETWORKS`."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", network="r2plus1d_18")
    if arg.network not in NETWORKS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(NETWORKS)}.")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": arg.network, "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
