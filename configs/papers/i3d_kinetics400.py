"""I3D on RGB frames of Kinetics-400, from scratch (Carreira and Zisserman, CVPR 2017).

    python -m vidjax.train --config configs/papers/i3d_kinetics400.py --workdir runs/i3d_kinetics400

Published: 68.4 % top-1 and 88.0 % top-5 of the test set; from ImageNet's Inception-v1 71.1 % and 89.3 % (the authors'
repository). Not measured.
Recipe: https://github.com/google-deepmind/kinetics-i3d, README: 64 replicas of 6 clips, 115,000 steps.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=64, frame_stride=1, size=224, resize=256)
    config.augment.flip = True
    config.model = {"name": "i3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (97 / 115, 108 / 115)}
    config.batch_size, config.num_epochs = 384, 184.0  # 115,000 steps of 240,000 videos
    return config
