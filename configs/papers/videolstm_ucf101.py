"""The ConvLSTM of VideoLSTM over the maps of VGG16, on RGB frames of UCF101, split 1 (Li et al., 2018).

    python -m vidjax.train --config configs/papers/videolstm_ucf101.py --workdir runs/videolstm_ucf101

Published: 77.6 %. The figure and the recipe are from memory, not verified. Not measured.
Recipe: Clips of 30 frames, the last maps of VGG16. AdamW replaces RMSProp.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=30, frame_stride=1, size=224, resize=256)
    config.fold = "split1/0"
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "vgg16_imagenet"
    config.model = {"name": "conv_lstm", "channels": (512,), "kernel_size": 3, "dropout": 0.5}
    config.model.update({"backbone": {"name": "vgg16", "hidden": 0}, "layer": "pool5"})
    config.freeze = ("backbone/.*",)
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 128, 40.0
    return config
