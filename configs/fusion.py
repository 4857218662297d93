"""Single frame, early, late and slow fusion of one trunk (Karpathy et al., CVPR 2014), and their average.

    python -m vidjax.train --config configs/fusion.py:fusion=slow --workdir runs/fusion_slow
    python -m vidjax.evaluate --workdir runs/fusion_single runs/fusion_early runs/fusion_late runs/fusion_slow

An eighth of the channels, and BatchNorm, which the paper does not have. 480 test videos of motion, one seed, on 2 cores
of an AMD EPYC, beside the paper's hit@1 of videos on Sports-1M (table 1):

              hit@1 %   within pairs %   reversed %   minutes    Sports-1M
    single       44.2             52.3         39.6       0.6         59.3
    early        96.7             96.9         95.6       0.4         57.7
    late         88.3             88.3         86.5       0.3         59.3
    slow         99.0             99.0         99.6       0.4         60.9
    average      98.5             98.5         98.5                   63.9

The average of the scores is that of all four; of the logits (--fusion logits) it is 98.8 %.
`paper` is the recipe on Sports-1M, for `slow`. Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then `fusion=` single, early, late or
    slow."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"fusion": "slow"})
    config = data.from_argument(argument)
    config.clip.num_frames = 10  # as the paper's; slow fusion needs them
    if chosen["fusion"] == "late" and argument.startswith("motion"):
        config.clip.frame_stride = 1  # between its two frames a sprite must not turn by more than half a circle
    config.model = {"name": "fusion", **chosen, "width": 0.125, "batch_norm": True, "dropout": 0.0}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """Karpathy et al., section 3: the rate was lowered by hand; 20 clips a video."""
    config = data.get_config("sports1m", "10x170")
    config.augment.flip = True
    config.model = {"name": "fusion", "fusion": "slow"}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 32, 50.0
    config.eval.num_views = 20
    return config
