"""RAFT on FlyingChairs, the first stage of its training (Teed and Deng, ECCV 2020).

    python -m vidjax.data.make_records flying_chairs FlyingChairs_release --format png --out data/flying_chairs
    python -m vidjax.train --config configs/papers/raft_chairs.py --workdir runs/raft_chairs

Published: no error after this stage alone; see configs/papers/raft_things.py. Not measured.
Recipe: https://github.com/princeton-vl/RAFT, train_standard.sh and train.py: 100,000 steps of 12 pairs, 12 iterations.
There scales are between 2^-0.1 and 2^1 and parts of the second frame are erased; here they are between 2^-0.2 and
2^0.5, crops are also turned, nothing is erased, and weight decay leaves biases alone.
"""

from configs.common import data


def get_config():
    config = data.shared("data/flying_chairs", num_frames=2, size=(368, 496), eval_size=(384, 512))
    config.target, config.test_splits = "flow", ("val",)
    config.model = {"name": "raft_large", "iterations": 12}
    config.loss = {"name": "flow_sequence", "gamma": 0.8}
    config.augment = {"crop": "resized", "flip": True, "colour": 0.4}
    config.optimizer = {"name": "adamw", "weight_decay": 1e-4, "clip_norm": 1.0}
    config.schedule = {"name": "linear", "learning_rate": 4e-4, "warmup_steps": 5000}
    config.batch_size, config.num_epochs = 12, 53.98  # 100,000 steps of 22,232 pairs (number from memory)
    config.eval.batch_size, config.eval_every, config.checkpoint_every = 8, 5000, 5000
    return config
