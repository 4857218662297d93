"""FlowNetS on FlyingChairs with the schedule S_long of FlowNet 2.0 (Ilg et al., CVPR 2017).

    python -m vidjax.data.make_records flying_chairs FlyingChairs_release --format png --out data/flying_chairs
    python -m vidjax.train --config configs/papers/flownet_s_chairs.py --workdir runs/flownet_s_chairs

Published: end-point error 2.71 on the test pairs of FlyingChairs, 4.50 on Sintel clean and 5.45 on final, with a
shorter schedule (Fischer et al., ICCV 2015, table 2). Not measured.
Recipe: 1.2 million steps of 8 pairs; the learning rate halves at 400,000, 600,000, 800,000 and 1,000,000 (Ilg et al.,
section 3). Loss weights, crops and weight decay are those of ClementPinard/FlowNetPytorch, main.py, which adds the
decay to the gradient of Adam; here it is decoupled (AdamW).
"""

from configs.common import data

SCALES = (0.32, 0.08, 0.02, 0.01, 0.005)  # from 1/64 to 1/4


def get_config():
    config = data.shared("data/flying_chairs", num_frames=2, size=(320, 448), eval_size=(384, 512))
    config.target, config.test_splits = "flow", ("val",)
    config.model = {"name": "flownet_s"}
    config.loss = {"name": "flow_pyramid", "weights": SCALES}
    config.augment = {"crop": "resized", "flip": True, "colour": 0.2}
    config.optimizer = {"name": "adamw", "weight_decay": 4e-4}
    config.schedule = {
        "name": "steps",
        "learning_rate": 1e-4,
        "boundaries": (1 / 3, 1 / 2, 2 / 3, 5 / 6),
        "factor": 0.5,
    }
    config.batch_size, config.num_epochs = 8, 431.81  # 1.2 million steps of 22,232 pairs (number from memory)
    config.eval.batch_size, config.eval_every, config.checkpoint_every = 8, 10_000, 10_000
    return config
