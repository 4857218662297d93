"""R3D-18 on Kinetics-400 (Tran et al., CVPR 2018).

    python -m vidjax.train --config configs/papers/r3d_18_kinetics400.py --workdir runs/r3d_18_kinetics400

Published: 52.5 % of clips, 64.2 % of videos (table 2, ten clips per video). Not measured.
Recipe: Sections 4.1 and 4.2: 45 epochs of a million clips, with the batch of 32 that each of the 64 GPUs had.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=16, frame_stride=1, size=112, resize=(128, 171))
    config.augment.flip = True
    config.model = {"name": "r3d_18"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
    config.schedule = {"name": "steps", "learning_rate": 0.01, "boundaries": (20 / 45, 30 / 45, 40 / 45)}
    config.schedule.warmup_steps = 10 * 1_000_000 // 32
    config.batch_size, config.num_epochs = 32, 188.0  # 45 million clips of 240,000 videos
    config.eval.num_views = 10
    return config
