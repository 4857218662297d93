"""A ConvLSTM over the pixels of frames, or over the maps of a 2-D network (Shi et al., 2015).

    python -m vidjax.train --config configs/conv_lstm.py --workdir runs/conv_lstm
    python -m vidjax.train --config configs/conv_lstm.py:motion_large,small,backbone=resnet18 --workdir runs/maps

480 test videos of motion_large, one seed, hit@1 / within pairs / reversed %, on one core of an AMD EPYC: over pixels
99.2 / 99.2 / 98.8 in 9 minutes, over maps 100.0 / 100.0 / 100.0 in 7.

`paper` is the ConvLSTM of VideoLSTM (Li et al., 2018) over the maps of VGG16 on RGB frames of UCF101, split 1: 77.6 %.
Figure and recipe are from memory, not read again. Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE of common/data.py, then `backbone=` a network to run over the maps of."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"backbone": ""})
    config = data.from_argument(argument)
    config.model = {"name": "conv_lstm", "channels": (16, 32), "kernel_size": 3, "dropout": 0.0}
    if chosen["backbone"]:
        config.model.update({"backbone": {"name": chosen["backbone"], "width": 0.125}, "layer": "layer2"})
        config.model.channels = (32,)
    else:
        config.model.patch_size = 4
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 5.0 if argument.startswith("motion_large") else 6.0
    return config


def paper():
    """Li et al.: clips of 30 frames, the last maps of VGG16; RMSProp, for which AdamW stands."""
    config = data.from_argument("ucf101,30x224,split1,0")
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "vgg16_imagenet"
    config.model = {"name": "conv_lstm", "channels": (512,), "kernel_size": 3, "dropout": 0.5}
    config.model.update({"backbone": {"name": "vgg16", "hidden": 0}, "layer": "pool5"})
    config.freeze = ("backbone/.*",)
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 128, 40.0
    return config
