"""A temporal convolutional network over frame features, or over stored features.

Bai et al. (2018): dilated, causal, residual. Lea et al. (2017): `kind=encoder_decoder`, which also sees the future.

    python -m vidjax.train --config configs/tcn.py --workdir runs/tcn
    python -m vidjax.train --config configs/tcn.py:dataset=ut_interaction_i3d,fold=set1/0 --workdir runs/ut_tcn_0

480 test videos of motion_large, one seed, hit@1 / within pairs / reversed %, on one core of an AMD EPYC: dilated 99.4 /
99.4 / 99.2 in 5 epochs and 7 minutes; encoder-decoder 99.0 / 99.2 / 98.3 with --config.num_epochs=10 in 15 minutes.

UT-Interaction, features of I3D and VGG16, leave one sequence out (60 videos per set), hit@1, mean and deviation of
three seeds by vidjax.crossval:

                       I3D, set 1    I3D, set 2    VGG16, set 1  VGG16, set 2
    dilated            89.4 +- 2.5   87.2 +- 1.0   55.6 +- 1.9   53.9 +- 4.2
    encoder-decoder    90.0 +- 1.7   92.8 +- 1.0   67.2 +- 2.5   61.7 +- 4.4
"""

from configs.common import data

EPOCHS = {"motion_large": 5.0}


def get_config(argument=""):
    """`kind` is dilated or encoder_decoder."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", kind="dilated")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "tcn", "kind": arg.kind, "channels": (128,) * 3, "kernel_size": 3, "dropout": 0.0}
    if arg.kind == "encoder_decoder":
        config.model.channels, config.model.kernel_size = (64, 96), 5
    config.model.causal = arg.kind == "dilated"
    config.batch_size = 16
    if data.is_video(config):
        config.model.update({"backbone": {"name": "resnet18", "width": 0.125}})
        config.model.min_receptive_field = config.clip.num_frames
        config.num_epochs = EPOCHS.get(arg.dataset, 6.0)
    else:
        config.model.dropout, config.num_epochs = (0.5, 40.0) if config.model.causal else (0.3, 100.0)
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    return config
