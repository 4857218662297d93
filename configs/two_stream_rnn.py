"""An LSTM over the features of two 2-D streams (Ng et al., CVPR 2015).

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_rnn.py --workdir runs/two_stream_rnn

Four steps in time, each a frame and a stack of five fields of flow. On motion 100.0 % of 480 test videos in 7.2 minutes
on one core of an AMD EPYC, one seed.

`paper` is the network on UCF101, where the paper reports 88.6 % (five layers of 512 units over GoogLeNet on 30 frames).
The recipe is from memory, not read again. Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
    config.clip.num_frames, config.clip.frame_stride, config.flow = 20, 1, "stored"
    config.model = {
        "name": "two_stream_rnn",
        "spatial": {"name": "frame_pool", "backbone": {"name": "resnet18", "width": 0.125}},
        "temporal": {"name": "stacked_flow", "backbone": {"name": "resnet18", "width": 0.125}, "num_fields": 5},
        "cell": "lstm",
        "hidden": 128,
        "dropout": 0.0,
    }
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """Ng et al., section 3: gradients from every frame's softmax in the paper, from the last one here."""
    config = data.from_argument("ucf101,30x224,split1,0")
    config.augment.flip, config.flow = True, "stored"
    config.model = {
        "name": "two_stream_rnn",
        "spatial": {"name": "frame_pool", "backbone": {"name": "googlenet"}},
        "temporal": {"name": "stacked_flow", "backbone": {"name": "googlenet"}, "num_fields": 1},
        "cell": "lstm",
        "hidden": 512,
        "dropout": 0.5,
    }
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 32, 60.0
    return config
