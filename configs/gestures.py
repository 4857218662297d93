"""Gestures from one example: videos of a pen that leaves no ink, so that no single frame shows the character.

    python -m vidjax.train --config configs/gestures.py:network=cnn_lstm --workdir runs/gestures
    python -m vidjax.evaluate --workdir runs/gestures --one_shot 20x1 --within superclass --across '_(\\d+)\\.' --orders

    network=frame      one frame of the video
    network=pool       the mean over frames, which no order changes
    network=cnn_lstm   an LSTM over frame features (Donahue et al., 2015), with a second one backwards
    network=r3d        R3D-18 of an eighth of the width
    network=tcn        temporal convolutions over the trajectory of the pen, no video
    network=lstm       LSTMs forwards and backwards over the trajectory

Prototypical loss, 30 ways and 4 clips of each, half of Snell's network on frames of 28x28. Measured: docs/one_shot.md.
"""

from configs.common import data

FRAMES = {"name": "conv4", "grey": True, "width": 0.5}
NETWORKS = {
    "frame": FRAMES,
    "pool": FRAMES,
    "cnn_lstm": {"name": "frame_rnn", "backbone": FRAMES, "hidden": 128, "bidirectional": True},
    "r3d": {"name": "r3d_18", "width": 0.125},
    "tcn": {"name": "tcn", "channels": (64,) * 5, "kernel_size": 5, "causal": False, "dropout": 0.1},
    "lstm": {"name": "frame_rnn", "hidden": 128, "bidirectional": True},
}


def get_config(argument=""):
    arg = data.parse(argument, network="cnn_lstm")
    if arg.network not in NETWORKS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(NETWORKS)}.")
    config = data.get_config("trajectories" if arg.network in ("tcn", "lstm") else "gestures")
    config.val_splits = ()  # the test alphabets must not select anything
    config.model = {"name": "embedding", "network": NETWORKS[arg.network], "size": 64}
    config.loss = {"name": "prototypical"}
    config.batch_classes, config.batch_size = 30, 120
    config.optimizer = {"name": "adamw", "clip_norm": 1.0}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (1 / 3, 2 / 3), "factor": 0.5}
    config.num_epochs = 20.0
    if data.is_video(config):
        config.augment.update({"crop": "centre", "affine": 0.5})
        config.preprocess = data.INK
    if arg.network == "frame":
        config.clip.num_frames = 1
    return config
