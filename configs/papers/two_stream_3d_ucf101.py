"""Two VGG16 joined by a 3-D convolution, on UCF101, split 1 (Feichtenhofer et al., CVPR 2016).

    python -m vidjax.train --config configs/papers/two_stream_3d_ucf101.py --workdir runs/two_stream_3d_ucf101

Published: 92.5 % over three splits, with the temporal stream's scores averaged in (90.4 % on split 1 is VGG16 with
VGG-M). Not measured.
Recipe: The authors' script: five frames, batches of 96, the streams frozen below the fusion. It starts from two
trained streams: --config.init_from=RGB,FLOW.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=50, frame_stride=1, size=224, resize=256)
    config.fold = "split1/0"
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
