"""X3D-M on Kinetics-400, from scratch (Feichtenhofer, CVPR 2020).

    python -m vidjax.train --config configs/papers/x3d_m_kinetics400.py --workdir runs/x3d_m_kinetics400

Published: 75.9 % top-1 and 92.7 % top-5 with 10 clips of 3 crops (pytorchvideo's model zoo). Not measured.
Recipe: facebookresearch/SlowFast, configs/Kinetics/X3D_M.yaml: 8 GPUs of 16 clips, 300 epochs, short sides of 256 to
320 (here 256), a warm-up of 35 epochs from 0.01 (here from 0).
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=16, frame_stride=5, size=224, resize=256)
    config.preprocess = {"mean": [114.75] * 3, "std": [57.375] * 3}
    config.augment.flip = True
    config.model = {"name": "x3d_m", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-5}
    config.schedule = {"name": "cosine", "learning_rate": 0.1, "warmup_steps": 35 * 240_000 // 128}
    config.batch_size, config.num_epochs = 128, 300.0
    config.eval.num_views, config.eval.num_crops = 10, 3
    return config
