"""Slow fusion on Sports-1M (Karpathy et al., CVPR 2014).

    python -m vidjax.train --config configs/papers/slow_fusion_sports1m.py --workdir runs/slow_fusion_sports1m

Published: 60.9 % of videos (table 1). Not measured.
Recipe: Section 3: 20 clips per video. The authors lowered the learning rate by hand; here it is constant.
"""

from configs.common import data


def get_config():
    config = data.shared("data/sports1m", num_frames=10, frame_stride=1, size=170, resize=(200, 200))
    config.augment.flip = True
    config.model = {"name": "fusion", "fusion": "slow"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 32, 50.0
    config.eval.num_views = 20
    return config
