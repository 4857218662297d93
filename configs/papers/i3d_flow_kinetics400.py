"""The flow stream of two-stream I3D on Kinetics-400, from scratch (Carreira and Zisserman, CVPR 2017).

    python -m vidjax.train --config configs/papers/i3d_flow_kinetics400.py --workdir runs/i3d_flow_kinetics400

Published: 61.5 % top-1 of the test set; 71.6 % with the stream on frames (`configs/papers/i3d_kinetics400.py`); from
ImageNet 63.4 % and 74.2 % (the authors' repository). Not measured.
Recipe: https://github.com/google-deepmind/kinetics-i3d, README: TV-L1 flow, 155,000 steps. There the learning rate
falls twice, rises at 115,000 steps and falls twice more; here it only falls twice.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=64, frame_stride=1, size=224, resize=256)
    config.augment.flip, config.flow = True, "stored"
    config.model = {"name": "i3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (97 / 155, 140 / 155)}
    config.batch_size, config.num_epochs = 384, 248.0  # 155,000 steps of 240,000 videos
    return config
