"""C3D on Sports-1M, from scratch (Tran et al., ICCV 2015).

    python -m vidjax.train --config configs/papers/c3d_sports1m.py --workdir runs/c3d_sports1m

Published: 44.9 % of clips, 60.0 % of videos (table 2). Not measured.
Recipe: Section 3.2: 1.9 million steps; the learning rate is halved every 150,000. The paper does not give the weight
decay.
"""

from configs.common import data


def get_config():
    config = data.shared("data/sports1m", num_frames=16, frame_stride=1, size=112, resize=(128, 171))
    config.augment.flip = True
    config.model = {"name": "c3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    boundaries = tuple(150_000 * i / 1_900_000 for i in range(1, 13))
    config.schedule = {"name": "steps", "learning_rate": 3e-3, "boundaries": boundaries, "factor": 0.5}
    config.batch_size, config.num_epochs = 30, 71.0  # 1.9 million steps of 800,000 videos
    config.eval.num_views = 10
    return config
