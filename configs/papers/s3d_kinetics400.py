"""S3D on Kinetics-400 (Xie et al., ECCV 2018).

    python -m vidjax.train --config configs/papers/s3d_kinetics400.py --workdir runs/s3d_kinetics400

Published: 72.2 % from ImageNet's Inception-v1 (table 2; set config.init_from). Not measured.
Recipe: Section 3: 56 GPUs of 6 clips, 140,000 steps. Batch size, learning rate and steps are from memory, not verified.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=64, frame_stride=1, size=224, resize=256)
    config.augment.flip = True
    config.model = {"name": "s3d"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (100 / 140, 120 / 140)}
    config.batch_size, config.num_epochs = 336, 196.0  # 140,000 steps of 240,000 videos
    return config
