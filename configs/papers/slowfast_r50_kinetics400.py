"""SlowFast 8x8 on ResNet-50 and Kinetics-400, from scratch (Feichtenhofer et al., ICCV 2019).

    python -m vidjax.train --config configs/papers/slowfast_r50_kinetics400.py --workdir runs/slowfast_r50_kinetics400

Published: 76.9 % top-1 and 92.7 % top-5 with 10 clips of 3 crops (pytorchvideo's model zoo). Not measured.
Recipe: facebookresearch/SlowFast, configs/Kinetics/SLOWFAST_8x8_R50.yaml: 8 GPUs of 8 clips, 196 epochs, short sides of
256 to 320 (here 256), a warm-up of 34 epochs from 0.01 (here from 0). 4x16 is `slowfast_r50_4x16` on the same clips.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=32, frame_stride=2, size=224, resize=256)
    config.preprocess = {"mean": [114.75] * 3, "std": [57.375] * 3}
    config.augment.flip = True
    config.model = {"name": "slowfast_r50_8x8", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
    config.schedule = {"name": "cosine", "learning_rate": 0.1, "warmup_steps": 34 * 240_000 // 64}
    config.batch_size, config.num_epochs = 64, 196.0
    config.eval.num_views, config.eval.num_crops = 10, 3
    return config
