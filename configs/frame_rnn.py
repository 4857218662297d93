"""A recurrent network over the frame features of a 2-D network, or over stored features (LRCN, Donahue et al., 2015).

    python -m vidjax.train --config configs/frame_rnn.py --workdir runs/frame_rnn
    python -m vidjax.train --config configs/frame_rnn.py:dataset=motion_large,cell=gru --workdir runs/gru
    python -m vidjax.train --config configs/frame_rnn.py:dataset=motion_large,bidirectional=true \\
        --config.num_epochs=10 --workdir runs/both_ways
    python -m vidjax.train --config configs/frame_rnn.py:dataset=ut_interaction_i3d,fold=set1/0 --workdir runs/ut_rnn_0

480 test videos of motion_large, one seed, on one core of an AMD EPYC; hit@1 / within pairs / reversed %:

    lstm                98.5 / 98.8 / 99.2      5 epochs, 8 minutes
    gru                 99.8 / 100.0 / 100.0    5
    rnn                 98.5 / 98.8 / 99.2      10  (--config.schedule.learning_rate=1e-3, half the default; else 96.9)
    stacked             100.0 / 100.0 / 100.0   5    (num_layers=2)
    both ways           96.3 / 96.2 / 96.5      10   (bidirectional=true)

On motion (1,600 training videos), lstm, 6 epochs: 88.3 / 88.5. UT-Interaction, features of I3D and VGG16, leave one
sequence out (60 videos per set), hit@1, mean and deviation of three seeds by vidjax.crossval:

                 I3D, set 1     I3D, set 2     VGG16, set 1   VGG16, set 2
    lstm         87.8 +- 2.5    89.4 +- 2.5    67.8 +- 1.0    58.3 +- 7.6
    gru          88.9 +- 3.5    91.7 +- 1.7    74.4 +- 1.0    60.0 +- 5.0
    rnn          90.0 +- 1.7    91.7 +- 0.0    72.8 +- 3.8   63.3 +- 2.9
    stacked      91.1 +- 2.5    89.4 +- 1.0    63.3 +- 3.3   58.9 +- 1.9
    both ways    90.6 +- 2.5    90.6 +- 2.5    69.4 +- 3.5   57.2 +- 1.0
"""

from configs.common import data

EPOCHS = {"motion_large": 5.0}


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="", cell="lstm", num_layers=1, bidirectional=False)
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "frame_rnn", "cell": arg.cell, "num_layers": arg.num_layers, "hidden": 128, "dropout": 0.0}
    config.model.bidirectional = arg.bidirectional
    if data.is_video(config):
        config.model.backbone = {"name": "resnet18", "width": 0.125}
        config.num_epochs = EPOCHS.get(arg.dataset, 6.0)
    else:
        config.model.dropout, config.num_epochs = 0.5, 40.0
    config.batch_size = 16
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    return config
