"""Video transformers at laptop size, trained from scratch.

    python -m vidjax.train --config configs/video_transformer.py:network=timesformer --workdir runs/timesformer

`network` is one of `MODELS`; "vit" and "timesformer_space" ignore the order of frames. The published sizes are
`videomae_b`, `timesformer`, `vivit`, `video_swin_t`, `mvit_v2_s` and others (docs/transformers.md); to start from
published weights, see configs/finetune_transformer.py.
"""

from configs.common import data

TOKENS = {"dim": 96, "depth": 4, "num_heads": 3}
PATCHES = {**TOKENS, "patch": (8, 8)}
TUBELETS = {**TOKENS, "patch": (2, 8, 8)}
STAGES = {"depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), "drop_path": 0.0}
MODELS = {
    "vit": {"name": "frame_pool", "backbone": {"name": "vit_b", **PATCHES, "positions": (6, 6)}},
    "timesformer_space": {"name": "timesformer", "attention": "space", **PATCHES, "positions": (12, 6, 6)},
    "timesformer_joint": {"name": "timesformer", "attention": "joint", **PATCHES, "positions": (12, 6, 6)},
    "timesformer": {"name": "timesformer", **PATCHES, "positions": (12, 6, 6)},
    "vivit": {"name": "vivit", **TUBELETS, "positions": (6, 6, 6)},
    "vivit_factorised": {"name": "vivit", **TUBELETS, "positions": (6, 6, 6), "time_depth": 2},
    "videomae": {"name": "videomae_b", **TUBELETS},
    "video_swin": {"name": "video_swin_t", "dim": 32, **STAGES, "window": (6, 3, 3)},
    "mvit": {"name": "mvit_v2_s", "dims": (16, 32, 64, 128), **STAGES, "positions": (6, 12, 12), "dropout": 0.0},
}


def get_config(argument=""):
    """`network` is one of `MODELS`."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", network="timesformer")
    if arg.network not in MODELS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(MODELS)}.")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.model = MODELS[arg.network]
    config.optimizer = {"name": "adamw", "weight_decay": 0.05, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 100}
    config.batch_size, config.num_epochs = 16, 12.0
    return config
