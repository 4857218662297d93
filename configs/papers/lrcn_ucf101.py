"""LRCN on RGB frames of UCF101, split 1 (Donahue et al., CVPR 2015).

    python -m vidjax.train --config configs/papers/lrcn_ucf101.py --workdir runs/lrcn_ucf101

Published: 68.2 % (table 1, mean of three splits). Not measured.
Recipe: Section 4 and the authors' solver: an LSTM of 256 units over 16 frames. AlexNet's pooled convolutions replace
fc6 of CaffeNet. The paper averages the scores of all frames; here the last output classifies.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=16, frame_stride=1, size=224, resize=(240, 320))
    config.fold = "split1/0"
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "alexnet_imagenet"
    config.model = {"name": "frame_rnn", "cell": "lstm", "hidden": 256, "dropout": 0.9}
    config.model.update({"backbone": {"name": "alexnet", "hidden": 0}})
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-3, "clip_norm": 5.0}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (1 / 3, 2 / 3)}
    config.batch_size, config.num_epochs = 24, 75.0  # 30,000 steps of 9,537 videos
    config.eval.num_views = 10
    return config
