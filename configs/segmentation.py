"""One label per frame of untrimmed videos, on stored features: from frames alone to MS-TCN and ASFormer.

    python -m vidjax.data.make_records segments.csv --untrimmed --short_side 128 --out data/mine
    python -m vidjax.features --weights i3d_kinetics400_rgb --records data/mine --num_frames 48 --resize 224 224 \\
        --out data/mine_i3d
    python -m vidjax.train --config configs/segmentation.py:dataset=mine_i3d --workdir runs/ms_tcn

`model` is one of `MODELS`: "frames" (a linear classifier of each feature by itself), "lstm" and "causal_tcn" (see the
past only), "bidirectional", "ed_tcn", "ms_tcn" and "asformer" (see the whole video). `steps` is the longest video, in
features; longer ones are cut. --config.model.look_ahead=16 lets causal_ms_tcn wait for 16 more features. With
--config.loss.name=sigmoid a frame has the labels of all segments that hold it, with all models but MS-TCN and ASFormer.

MS-TCN: Farha and Gall (CVPR 2019); ASFormer: Yi, Wen and Jiang (BMVC 2021). Published recipe: Adam, 5e-4, one video per
batch, 50 epochs (MS-TCN) or 120 (ASFormer); here AdamW and 50 epochs for all. Measured: docs/untrimmed.md.
"""

from configs.common import data

MODELS = {
    "frames": {"name": "frame_pool", "per_frame": True},
    "lstm": {"name": "frame_rnn", "hidden": 128, "per_frame": True},
    "bidirectional": {"name": "frame_rnn", "hidden": 64, "bidirectional": True, "per_frame": True},
    "causal_tcn": {"name": "tcn", "channels": (64,) * 6, "per_frame": True},
    "ed_tcn": {"name": "tcn", "kind": "encoder_decoder", "channels": (48, 64), "causal": False, "per_frame": True},
    "ms_tcn": {"name": "ms_tcn"},
    "causal_ms_tcn": {"name": "ms_tcn", "causal": True, "look_ahead": 0},
    "asformer": {"name": "asformer"},
}


def get_config(argument=""):
    """`model` is one of `MODELS`, `steps` the number of features of the longest video."""
    arg = data.parse(argument, dataset="mine_i3d", steps=1024, fold="", model="ms_tcn")
    if arg.model not in MODELS:
        raise ValueError(f"Unknown model {arg.model!r}; choose one of {', '.join(MODELS)}.")
    config = data.shared(f"data/{arg.dataset}", num_frames=arg.steps)
    config.fold = arg.fold
    config.target = "frame"
    config.model = MODELS[arg.model]
    if config.model.name in ("ms_tcn", "asformer"):
        config.loss = {"name": "segmentation", "smoothing": 0.15, "class_weights": ()}
    config.optimizer = {"name": "adamw", "weight_decay": 1e-5, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 5e-4, "warmup_steps": 10}
    config.batch_size, config.num_epochs = 1, 50.0
    config.eval.batch_size = 4
    return config
