"""A linear classifier on frame features of a 2-D network, pooled over time: blind to the order of frames.

    python -m vidjax.train --config configs/frame_pool.py:pool=max --workdir runs/max
    python -m vidjax.train --config configs/frame_pool.py:dataset=ut_interaction_i3d,fold=set1/0 --workdir runs/head

On stored features (docs/weights.md) only the classifier is trained.
UT-Interaction, I3D's features, trained on sequences 2 to 10, one seed, on 2 cores of an AMD EPYC: hit@1 100 % on
sequence 1 (6 videos) and 83.3 % on the 60 videos of set 2, 8 ms per step. Computing the features of the 120 videos
takes two minutes, once.
"""

from configs.common import data


def get_config(argument=""):
    """`pool` is mean, max, min or max_min; `network` is the name of a 2-D network."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", pool="mean", network="resnet18")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = {"name": "frame_pool", "pool": arg.pool, "dropout": 0.0}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    if data.is_video(config):
        config.model.update({"backbone": {"name": arg.network, "width": 0.125}})
        config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
        config.batch_size, config.num_epochs = 16, 6.0
    else:
        config.model.dropout = 0.5
        config.schedule = {"name": "cosine", "learning_rate": 1e-2, "warmup_steps": 6}
        config.batch_size, config.num_epochs = 8, 40.0
    return config
