"""TSM, X3D, SlowFast and SlowOnly at laptop size: the convolutional networks between I3D and transformers.

    python -m vidjax.train --config configs/tsm_x3d_slowfast.py:network=tsm --workdir runs/tsm

TSM shifts channels between frames, `tsm_online` only from earlier ones, so that it runs on streams frame by frame.
X3D is the base of its expansion; SlowFast and SlowOnly have an eighth of the channels. The published sizes are `tsm` of
`resnet50`, `x3d_xs` to `x3d_l`, `slowfast_r50_8x8` and others (docs/convolutional.md); `configs/papers/` has recipes.
"""

from configs.common import data

SMALL = {"width": 0.125, "dropout": 0.0}
RESNET = {"backbone": {"name": "resnet18", "width": 0.125}}
MODELS = {
    "tsm": {"name": "tsm", **RESNET},
    "tsm_online": {"name": "tsm", "online": True, **RESNET},
    "x3d": {"name": "x3d_m", "width_factor": 1.0, "depth_factor": 1.0, "hidden": 256, "dropout": 0.0},
    "slowonly": {"name": "slowonly_r50", **SMALL},
    "slowfast": {"name": "slowfast_r50_8x8", **SMALL},
}


def get_config(argument=""):
    """`network` is one of `MODELS`."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", network="tsm")
    if arg.network not in MODELS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(MODELS)}.")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = MODELS[arg.network]
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
