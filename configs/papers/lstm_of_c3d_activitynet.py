"""An LSTM over stored C3D features of ActivityNet 2016 (Montes et al., 2016).

    python -m vidjax.train --config configs/papers/lstm_of_c3d_activitynet.py --workdir runs/lstm_of_c3d_activitynet

Published: mAP 58.7 % (the authors' page). Not measured.
Recipe: The authors' script: a batch-normalised LSTM of 512 units over sequences of 20 clips. AdamW replaces RMSProp.
"""

from configs.common import data


def get_config():
    config = data.shared("data/activitynet_c3d", num_frames=20)
    config.model = {"name": "frame_rnn", "cell": "lstm", "hidden": 512, "dropout": 0.5}
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-5}
    config.batch_size, config.num_epochs = 256, 100.0
    return config
