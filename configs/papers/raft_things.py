"""RAFT on FlyingThings3D, the second stage of its training, after FlyingChairs (Teed and Deng, ECCV 2020).

    python -m vidjax.data.make_records flying_things DIR --format png --out data/flying_things
    python -m vidjax.train --config configs/papers/raft_things.py --workdir runs/raft_things
    python -m vidjax.evaluate --workdir runs/raft_things --dataset data/sintel --splits clean

Published: end-point error 1.44 on Sintel clean, 2.79 on final, 5.02 on KITTI 2015 with 17.4 % outliers (the weights
Raft_Large_Weights.C_T_V1 of torchvision, from this schedule). Not measured.
Recipe: https://github.com/princeton-vl/RAFT, train_standard.sh and train.py: 100,000 steps of 6 pairs of both passes.
BatchNorm keeps its statistics. There scales are between 2^-0.4 and 2^0.8; for the other differences see
configs/papers/raft_chairs.py. Evaluation there takes 24 iterations, for Sintel 32.
"""

from configs.papers import raft_chairs


def get_config():
    config = raft_chairs.get_config()
    config.dataset, config.init_from = "data/flying_things", "runs/raft_chairs"
    config.clip = {"num_frames": 2, "size": (400, 720), "eval_size": (540, 960)}
    config.val_splits, config.test_splits = (), ("test",)
    config.model.frozen_norm = True
    config.schedule.learning_rate = 1.25e-4
    config.batch_size, config.num_epochs = 6, 7.44  # 100,000 steps of 80,604 pairs (number from memory)
    return config
