"""Two 2-D streams joined by a 3-D convolution (Feichtenhofer et al., CVPR 2016).

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_3d.py --workdir runs/two_stream_3d
    python -m vidjax.train --config configs/two_stream_3d.py --config.init_from=runs/rgb,runs/flow --workdir runs/joined

The second run starts from the streams that `configs/two_stream.py` trains separately (the temporal one with
`--config.model.num_fields=5`). The inputs are four frames and four stacks of five flow fields. On motion 100.0 % of 480
test videos in 7.6 minutes on one core of an AMD EPYC, one seed; started from the two streams: not measured.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.clip.num_frames, config.clip.frame_stride, config.flow = 20, 1, "stored"
    config.model = {
        "name": "two_stream_3d",
        "spatial": {"name": "frame_pool", "backbone": {"name": "resnet18", "width": 0.125}},
        "temporal": {"name": "stacked_flow", "backbone": {"name": "resnet18", "width": 0.125}, "num_fields": 5},
        "layer": "layer4",
        "dropout": 0.0,
    }
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
