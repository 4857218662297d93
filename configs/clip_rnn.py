"""A 3-D network on clips of 16 frames, and a recurrent network over the clips (Montes et al., 2016).

    python -m vidjax.train --config configs/clip_rnn.py --workdir runs/clip_rnn

On the motion dataset, whose videos have 24 frames, a clip is 4 of every other frame, and three make a video. 480 test
videos of motion_large, one seed: hit@1, within pairs and reversed 100 %, in 11 minutes on one core of an AMD EPYC.

`paper` is the LSTM on stored features of C3D, ActivityNet 2016: mAP 58.7 % (the authors' page; RMSProp, for which AdamW
stands). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then `cell=` and `network=`."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"cell": "lstm", "network": "r3d_18"})
    config = data.from_argument(argument)
    network = {"name": chosen["network"], "width": 0.125}
    config.model = {"name": "clip_rnn", "network": network, "cell": chosen["cell"], "hidden": 128, "dropout": 0.0}
    config.model.clip_frames = 4 if argument.startswith("motion") else 16
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 4.0 if argument.startswith("motion_large") else 6.0
    return config


def paper():
    """Montes et al., the authors' script: a batch-normalised LSTM of 512 units on sequences of 20 clips."""
    config = data.get_config("activitynet_c3d", "small")
    config.model = {"name": "frame_rnn", "cell": "lstm", "hidden": 512, "dropout": 0.5}
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-5}
    config.batch_size, config.num_epochs = 256, 100.0
    return config
