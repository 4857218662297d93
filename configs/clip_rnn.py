"""A 3-D network on clips of 16 frames and a recurrent network over the clips (Montes et al., 2016).

    python -m vidjax.train --config configs/clip_rnn.py --workdir runs/clip_rnn

The motion dataset has videos of 24 frames, of which every other is used: three clips of 4 frames. 480 test videos of
motion_large, one seed: hit@1, within pairs and reversed 100 %, in 11 minutes on one core of an AMD EPYC.
"""

from configs.common import data

CLIP_FRAMES = {"motion": 4, "motion_large": 4}  # videos of 24 frames, of which every other is used
EPOCHS = {"motion_large": 4.0}


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="", cell="lstm", network="r3d_18")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    network = {"name": arg.network, "width": 0.125}
    config.model = {"name": "clip_rnn", "network": network, "cell": arg.cell, "hidden": 128, "dropout": 0.0}
    config.model.clip_frames = CLIP_FRAMES.get(arg.dataset, 16)
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, EPOCHS.get(arg.dataset, 6.0)
    return config
