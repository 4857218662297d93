"""Two 2-D streams joined by a 3-D convolution (Feichtenhofer et al., CVPR 2016).

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_3d.py --workdir runs/two_stream_3d
    python -m vidjax.train --config configs/two_stream_3d.py --config.init_from=runs/rgb,runs/flow --workdir runs/joined

The second starts from the streams that `configs/two_stream.py` trains apart (with `--config.model.num_fields=5` of the
temporal one). Maps of four frames and of four stacks of five fields. On motion 100.0 % of 480 test videos in 7.6
minutes on one core of an AMD EPYC, one seed; started from the two streams: not measured.

`paper` is the fusion of two VGG16 on UCF101 by a 3-D convolution: 92.5 % over three splits, with the temporal stream's
scores averaged in. (90.4 % on split 1 is that of VGG16 and VGG-M.) It starts from two trained streams
(--config.init_from). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is DATASET,SIZE[,FOLDS,NUMBER] of configs/common/data.py, or paper."""
    if argument == "paper":
        return paper()
    config = data.from_argument(argument or "motion,small")
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


def paper():
    """Feichtenhofer et al., the authors' script: five frames, batches of 96, the streams frozen below the fusion."""
    config = data.from_argument("ucf101,50x224,split1,0")
    config.augment.flip, config.flow = True, "stored"
    config.model = {
        "name": "two_stream_3d",
        "spatial": {"name": "frame_pool", "backbone": {"name": "vgg16", "hidden": 0}},
        "temporal": {"name": "stacked_flow", "backbone": {"name": "vgg16", "hidden": 0}, "num_fields": 10},
        "layer": "pool5",
        "dropout": 0.85,
    }
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (0.4, 0.6, 0.8)}
    config.batch_size, config.num_epochs = 96, 10.0
    return config
