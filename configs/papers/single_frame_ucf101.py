"""The single-frame network of LRCN on UCF101, split 1 (Donahue et al., CVPR 2015).

    python -m vidjax.train --config configs/papers/single_frame_ucf101.py --workdir runs/single_frame_ucf101

Published: 67.4 % (table 1, mean of three splits). Not measured.
Recipe: The authors' solver: 5,000 steps of 128 frames, with the learning rate divided by ten every 3,000. AlexNet's
pooled convolutions replace fc6 of CaffeNet.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=1, frame_stride=1, size=224, resize=256)
    config.fold = "split1/0"
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "alexnet_imagenet"
    config.model = {"name": "frame_pool", "backbone": {"name": "alexnet", "hidden": 0}, "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-3}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (0.6,)}
    config.batch_size, config.num_epochs = 128, 67.0  # 5,000 steps of 9,537 videos
    config.eval.num_views = 25
    return config
