"""Small networks that learn optical flow from pairs of frames with true flow.

    python -m vidjax.data.make_records flow --pair_size 128 192 --format png --out data/flow
    python -m vidjax.train --config configs/optical_flow.py:network=flownet_s --workdir runs/flownet_s
    python -m vidjax.evaluate --workdir runs/flownet_s --dataset data/middlebury --splits test

`network` is one of `NETWORKS`. FlowNetS has a quarter of the channels and is the cheapest to train. See docs/flow.md.
"""

from configs.common import data

SCALES = (0.32, 0.08, 0.02, 0.01, 0.005)  # FlowNet's, from 1/64 to 1/4
NETWORKS = {
    # Four levels, of sides up to 24, 48, 96 and 192 pixels: larger frames use no others
    "spynet": ({"name": "spynet", "num_levels": 4}, {"name": "flow_pyramid", "weights": (1.0, 1.0, 1.0, 1.0)}),
    "flownet_s": ({"name": "flownet_s", "width": 0.25}, {"name": "flow_pyramid", "weights": SCALES}),
    "raft_small": ({"name": "raft_small", "iterations": 8}, {"name": "flow_sequence", "gamma": 0.8}),
}


def get_config(argument=""):
    arg = data.parse(argument, network="flownet_s")
    if arg.network not in NETWORKS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(NETWORKS)}.")
    config = data.shared("data/flow", num_frames=2, size=(128, 192), eval_size=(128, 192))
    config.target = "flow"
    config.model, config.loss = NETWORKS[arg.network]
    config.augment = {"crop": "resized", "flip": True, "colour": 0.2}
    clip_norm = 1.0 if config.loss.name == "flow_sequence" else 0.0
    config.optimizer = {"name": "adamw", "weight_decay": 1e-4, "clip_norm": clip_norm}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3, "warmup_steps": 100}
    config.batch_size, config.num_epochs = 8, 10.0
    config.eval.batch_size = 8
    return config
