"""A temporal convolutional network over the features of frames, or over stored features.

Bai et al. (2018): dilated, causal, residual. Lea et al. (2017): `kind=encoder_decoder`, which sees the future too.

    python -m vidjax.train --config configs/tcn.py --workdir runs/tcn
    python -m vidjax.train --config configs/tcn.py:ut_interaction_i3d,small,set1,0 --workdir runs/ut_tcn_0

480 test videos of motion_large, one seed, hit@1 / within pairs / reversed %, on one core of an AMD EPYC: dilated 99.4 /
99.4 / 99.2 in 5 epochs and 7 minutes; encoder-decoder 99.0 / 99.2 / 98.3 with --config.num_epochs=10 in 15 minutes.

UT-Interaction from I3D's features and VGG16's, leave one sequence out (60 videos a set), hit@1, mean and deviation of
three seeds by vidjax.crossval:

                       I3D, set 1    I3D, set 2    VGG16, set 1  VGG16, set 2
    dilated            89.4 +- 2.5   87.2 +- 1.0   55.6 +- 1.9   53.9 +- 4.2
    encoder-decoder    90.0 +- 1.7   92.8 +- 1.0   67.2 +- 2.5   61.7 +- 4.4

`paper` is ED-TCN on 50 Salads, one label a frame (17 classes): accuracy 64.7 %, F1 at 10, 25, 50 % overlap 68.0, 63.9,
52.6 (Lea et al., table 2, five folds). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then `kind=NAME` of `FrameTCN`."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"kind": "dilated"})
    config = data.from_argument(argument)
    config.model = {"name": "tcn", "channels": (128,) * 3, "kernel_size": 3, "dropout": 0.0, **chosen}
    if chosen["kind"] == "encoder_decoder":
        config.model.channels, config.model.kernel_size = (64, 96), 5
    config.model.causal = chosen["kind"] == "dilated"
    config.batch_size = 16
    if argument.startswith("motion"):
        config.model.update({"backbone": {"name": "resnet18", "width": 0.125}})
        config.model.min_receptive_field = config.clip.num_frames
        config.num_epochs = 5.0 if argument.startswith("motion_large") else 6.0
    else:
        config.model.dropout, config.num_epochs = (0.5, 40.0) if config.model.causal else (0.3, 100.0)
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    return config


def paper():
    """Lea et al., the authors' code: two layers of 64 and 96 channels, kernels of 25, 200 epochs in batches of 8;
    AdamW stands for RMSProp."""
    config = data.get_config("50salads", "small")
    config.target, config.val_splits = "frame", ()
    config.model = {"name": "tcn", "kind": "encoder_decoder", "channels": (64, 96), "kernel_size": 25, "dropout": 0.3}
    config.model.update({"causal": False, "per_frame": True})
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 8, 200.0
    return config
