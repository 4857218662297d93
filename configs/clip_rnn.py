"""A 3-D network on clips of 16 frames, and a recurrent network over the clips (Montes et al., 2016).

    python -m vidjax.train --config configs/clip_rnn.py --workdir runs/clip_rnn

On the motion dataset, whose videos have 24 frames, a clip is 4 of every other frame, and three make a video. 480 test
videos of motion_large, one seed: hit@1, within pairs and reversed 100 %, in 11 minutes on one core of an AMD EPYC.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, then any of `cell=NAME`, `network=NAME`."""
    argument, chosen = data.split_argument(argument, {"cell": "lstm", "network": "r3d_18"})
    config = data.from_argument(argument)
    config.model = {"name": "clip_rnn", "network_arguments": {"width": 0.125}, "hidden": 128, "dropout": 0.0, **chosen}
    config.model.clip_frames = 4 if argument.startswith("motion") else 16
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 4.0 if argument.startswith("motion_large") else 6.0
    return config
