"""A recurrent network over the features of a 2-D network on each frame, or over stored features (LRCN, Donahue et al.,
2015).

    python -m vidjax.train --config configs/frame_rnn.py --workdir runs/frame_rnn
    python -m vidjax.train --config configs/frame_rnn.py:motion,small,cell=gru,bidirectional=1 --workdir runs/gru
    python -m vidjax.train --config configs/frame_rnn.py:ut_interaction_i3d,small,set1,0 --workdir runs/ut_rnn_0

On 2 cores of an AMD EPYC, the LSTM: motion, one seed, hit@1 88.3 % (88.5 % within pairs) in 1.0 minutes. UT-Interaction
from I3D's features, leave one sequence out (60 videos), mean and deviation of three seeds by vidjax.crossval:

               set 1 %       set 2 %
    lstm       87.8 +- 2.5   89.4 +- 2.5
    gru        88.9 +- 3.5   91.7 +- 1.7
    rnn        90.0 +- 1.7   91.7 +- 0.0
    stacked    91.1 +- 2.5   89.4 +- 1.0    (num_layers=2)
    both ways  90.6 +- 2.5   90.6 +- 2.5    (bidirectional=1)
"""

from configs.common import data

MODEL = {"cell": "lstm", "num_layers": 1, "bidirectional": 0}


def get_config(argument="motion,small"):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, then any of NAME=VALUE of `MODEL`."""
    argument, chosen = data.split_argument(argument, MODEL)
    config = data.from_argument(argument)
    config.model = {"name": "frame_rnn", "hidden": 128, "dropout": 0.0, **chosen}
    config.model.bidirectional = bool(chosen["bidirectional"])
    if argument.startswith("motion"):
        config.model.update({"backbone": "resnet18", "backbone_arguments": {"width": 0.125}})
        config.num_epochs = 5.0 if argument.startswith("motion_large") else 6.0
    else:
        config.model.dropout, config.num_epochs = 0.5, 40.0
    config.batch_size = 16
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    return config
