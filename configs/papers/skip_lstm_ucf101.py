"""The Skip LSTM of sequential MNIST, on stored features of UCF101, split 1 (Campos et al., ICLR 2018).

    python -m vidjax.train --config configs/papers/skip_lstm_ucf101.py --workdir runs/skip_lstm_ucf101

Published, on digits: 97.3 % with 379 of 784 updates (table 2). Not measured.
Recipe: The authors' code: 110 units, a cost of 1e-4, Adam at 1e-4, batches of 256, gradients clipped at 1.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101_alexnet", num_frames=16)
    config.fold = "split1/0"
    config.model = {"name": "skip_rnn", "cell": "lstm", "hidden": 110, "update_cost": 1e-4}
    config.optimizer = {"name": "adamw", "clip_norm": 1.0}
    config.schedule = {"name": "constant", "learning_rate": 1e-4}
    config.batch_size, config.num_epochs = 256, 600.0
    return config
