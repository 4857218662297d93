"""A 2-D network whose logits are averaged over frames: blind to their order. 3-D networks can be inflated from it.

python -m vidjax.train --config configs/frame_cnn.py:network=inception_v1 --workdir runs/frames
python -m vidjax.train --config configs/i3d.py --config.init_from=runs/frames --workdir runs/inflated
"""

from configs.common import data


def get_config(argument=""):
    """`network` is the name of a 2-D network."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", network="resnet18")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": arg.network, "width": 0.125}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
