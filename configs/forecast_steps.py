"""Forecasts a series of steps: 10, 20, 30 -> 40; 20, 30, 40 -> 50; 30, 40, 50 -> 60; 70, 80, 90 -> ?

    python -m vidjax.data.synthetic.series steps --window 3 --period 3 --out data/steps
    python -m vidjax.train --config configs/forecast_steps.py --workdir runs/steps

All variants forecast 100.0, in 10 s on 2 cores: they see each window relative to its last value.
"""

from configs.common import data

VARIANTS = {
    "single": {"kind": "rnn"},
    "stacked": {"kind": "rnn", "num_layers": 2},
    "bidirectional": {"kind": "rnn", "bidirectional": True},
    "cnn_lstm": {"kind": "cnn_rnn"},
    "conv_lstm": {"kind": "conv_lstm"},
    "tcn": {"kind": "tcn"},
}


def get_config(argument=""):
    """`variant` is one of `VARIANTS`."""
    variant = data.parse(argument, variant="single").variant
    if variant not in VARIANTS:
        raise ValueError(f"Unknown variant {variant!r}; choose one of {', '.join(VARIANTS)}.")
    config = data.get_config("steps")
    config.val_splits = ()
    config.model = {"name": "forecaster", "hidden": 32, "pieces": 3, **VARIANTS[variant]}
    config.loss = {"name": "squared_error"}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 5e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 3, 200.0
    return config
