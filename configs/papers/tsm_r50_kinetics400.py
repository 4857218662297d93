"""TSM of ResNet-50 on 8 frames of Kinetics-400, from ImageNet (Lin et al., ICCV 2019).

    python -m vidjax.train --config configs/papers/tsm_r50_kinetics400.py --workdir runs/tsm_r50_kinetics400

Published: 71.2 % with one centre crop, 72.8 % with ten crops (the authors' README). Not measured.
Recipe: The authors' scripts/train_tsm_kinetics_rgb_8f.sh: batches of 128, 50 epochs, gradients clipped at 20. Their
classifier learns at 5 times the rate, and their crops have several scales; here all layers have one rate.
"""

from configs.common import data


def get_config():
    config = data.shared("data/kinetics400", num_frames=8, frame_stride=1, size=224, resize=256)
    config.clip.sampling = "segments"
    config.preprocess = data.IMAGENET
    config.augment.flip, config.augment.crop = True, "resized"
    config.model = {"name": "tsm", "backbone": {"name": "resnet50", "dropout": 0.5}}
    config.init_from = "torchvision_resnet50"
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "clip_norm": 20.0}
    config.schedule = {"name": "steps", "learning_rate": 0.02, "boundaries": (20 / 50, 40 / 50)}
    config.batch_size, config.num_epochs = 128, 50.0
    return config
