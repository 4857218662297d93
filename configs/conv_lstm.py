"""A ConvLSTM over pixels or over the feature maps of a 2-D network (Shi et al., 2015).

    python -m vidjax.train --config configs/conv_lstm.py --workdir runs/conv_lstm
    python -m vidjax.train --config configs/conv_lstm.py:dataset=motion_large,backbone=resnet18 --workdir runs/maps

480 test videos of motion_large, one seed, hit@1 / within pairs / reversed %, on one core of an AMD EPYC: over pixels
99.2 / 99.2 / 98.8 in 9 minutes, over maps 100.0 / 100.0 / 100.0 in 7.
"""

from configs.common import data

EPOCHS = {"motion_large": 5.0}


def get_config(argument=""):
    """`backbone` is the 2-D network whose feature maps the ConvLSTM sees; empty for pixels."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", backbone="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "conv_lstm", "channels": (16, 32), "kernel_size": 3, "dropout": 0.0}
    if arg.backbone:
        config.model.update({"backbone": {"name": arg.backbone, "width": 0.125}, "layer": "layer2"})
        config.model.channels = (32,)
    else:
        config.model.patch_size = 4
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, EPOCHS.get(arg.dataset, 6.0)
    return config
