"""A recurrent network over the features of a 2-D network on each frame, or over stored features (LRCN, Donahue et al.,
2015).

    python -m vidjax.train --config configs/frame_rnn.py --workdir runs/frame_rnn
    python -m vidjax.train --config configs/frame_rnn.py:motion_large,small,cell=gru --workdir runs/gru
    python -m vidjax.train --config configs/frame_rnn.py:motion_large,small,bidirectional=1 --config.num_epochs=10 \\
        --workdir runs/both_ways
    python -m vidjax.train --config configs/frame_rnn.py:ut_interaction_i3d,small,set1,0 --workdir runs/ut_rnn_0

480 test videos of motion_large, one seed, on one core of an AMD EPYC; hit@1 / within pairs / reversed %:

    lstm                98.5 / 98.8 / 99.2      5 epochs, 8 minutes
    gru                 99.8 / 100.0 / 100.0    5
    rnn                 98.5 / 98.8 / 99.2      10  (at half the rate, --config.schedule.learning_rate=1e-3; else 96.9)
    stacked             100.0 / 100.0 / 100.0   5    (num_layers=2)
    both ways           96.3 / 96.2 / 96.5      10   (bidirectional=1)

Of motion (1,600 training videos), 6 epochs, lstm: 88.3 / 88.5. UT-Interaction from I3D's and VGG16's features, leave
one sequence out (60 videos a set), hit@1, mean and deviation of three seeds by vidjax.crossval:

                 I3D, set 1     I3D, set 2     VGG16, set 1   VGG16, set 2
    lstm         87.8 +- 2.5    89.4 +- 2.5    67.8 +- 1.0    58.3 +- 7.6
    gru          88.9 +- 3.5    91.7 +- 1.7    74.4 +- 1.0    60.0 +- 5.0
    rnn          90.0 +- 1.7    91.7 +- 0.0    72.8 +- 3.8   63.3 +- 2.9
    stacked      91.1 +- 2.5    89.4 +- 1.0    63.3 +- 3.3   58.9 +- 1.9
    both ways    90.6 +- 2.5    90.6 +- 2.5    69.4 +- 3.5   57.2 +- 1.0

`paper` is LRCN on RGB frames of UCF101: 68.2 % (table 1, mean of three splits; fc6 of a CaffeNet, for which the pooled
convolutions of AlexNet stand; its scores are averaged over the frames, ours are those of the last one). Not measured.
"""

from configs.common import data

MODEL = {"cell": "lstm", "num_layers": 1, "bidirectional": 0}


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then any of NAME=VALUE of `MODEL`."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, MODEL)
    config = data.from_argument(argument)
    config.model = {"name": "frame_rnn", "hidden": 128, "dropout": 0.0, **chosen}
    config.model.bidirectional = bool(chosen["bidirectional"])
    if argument.startswith("motion"):
        config.model.update({"backbone": {"name": "resnet18", "width": 0.125}})
        config.num_epochs = 5.0 if argument.startswith("motion_large") else 6.0
    else:
        config.model.dropout, config.num_epochs = 0.5, 40.0
    config.batch_size = 16
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    return config


def paper():
    """Donahue et al., section 4, and the authors' solver: 256 units over 16 frames."""
    config = data.from_argument("ucf101,16x224,split1,0")
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "alexnet_imagenet"
    config.model = {"name": "frame_rnn", "cell": "lstm", "hidden": 256, "dropout": 0.9}
    config.model.update({"backbone": {"name": "alexnet", "hidden": 0}})
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-3, "clip_norm": 5.0}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (1 / 3, 2 / 3)}
    config.batch_size, config.num_epochs = 24, 75.0  # 30,000 steps of 9,537 videos
    config.eval.num_views = 10
    return config
