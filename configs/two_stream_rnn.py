"""An LSTM over the features of two 2-D streams (Ng et al., CVPR 2015).

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_rnn.py --workdir runs/two_stream_rnn

The input has four time steps, each a frame and a stack of five flow fields. On motion 100.0 % of 480 test videos in 7.2
minutes on one core of an AMD EPYC, one seed.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
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
