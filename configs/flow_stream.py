"""A temporal stream that contains its own flow network; both are trained together (Zhu et al., ACCV 2018).

    python -m vidjax.train --config configs/optical_flow.py:network=flownet_s --workdir runs/flownet_s
    python -m vidjax.train --config configs/flow_stream.py --config.init_from=runs/flownet_s --workdir runs/flow_stream

`--config.freeze='("network/.*",)'` keeps the flow network as it is. docs/flow.md has results.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="motion", size="small", fold="")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {
        "name": "flow_stream",
        "network": {"name": "flownet_s", "width": 0.25},
        "stream": {"name": "stacked_flow", "backbone": {"name": "resnet18", "width": 0.125}, "num_fields": 10},
    }
    config.clip.num_frames, config.clip.frame_stride = 11, 1
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    config.eval.num_views = 5
    return config
