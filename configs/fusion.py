"""Single-frame, early, late and slow fusion of frames in one architecture (Karpathy et al., CVPR 2014).

    python -m vidjax.train --config configs/fusion.py:fusion=slow --workdir runs/fusion_slow
    python -m vidjax.evaluate --workdir runs/fusion_single runs/fusion_early runs/fusion_late runs/fusion_slow

An eighth of the channels, and BatchNorm, which the paper does not use. 480 test videos of motion, one seed, on 2 cores
of an AMD EPYC; the last column is the paper's hit@1 of videos on Sports-1M (table 1):

              hit@1 %   within pairs %   reversed %   minutes    Sports-1M
    single       44.2             52.3         39.6       0.6         59.3
    early        96.7             96.9         95.6       0.4         57.7
    late         88.3             88.3         86.5       0.3         59.3
    slow         99.0             99.0         99.6       0.4         60.9
    average      98.5             98.5         98.5                   63.9

"average" averages the scores of all four models; averaging logits (--fusion logits) gives 98.8 %.
"""

from configs.common import data

# A sprite must not turn by more than half a circle between the two frames of late fusion
LATE_STRIDES = {"motion": 1, "motion_large": 1}


def get_config(argument=""):
    """`fusion` is single, early, late or slow."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", fusion="slow")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.clip.num_frames = 10  # as in the paper; slow fusion needs 10
    if arg.fusion == "late":
        config.clip.frame_stride = LATE_STRIDES.get(arg.dataset, config.clip.frame_stride)
    config.model = {"name": "fusion", "fusion": arg.fusion, "width": 0.125, "batch_norm": True, "dropout": 0.0}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config
