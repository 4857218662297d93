"""An LSTM over the features of two streams, on UCF101, split 1 (Ng et al., CVPR 2015).

    python -m vidjax.train --config configs/papers/two_stream_lstm_ucf101.py --workdir runs/two_stream_lstm_ucf101

Published: 88.6 % (five layers of 512 units over GoogLeNet on 30 frames). Not measured.
Recipe: Section 3. The paper applies the loss to every frame; here it applies to the last output. The recipe is from
memory, not verified.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=30, frame_stride=1, size=224, resize=256)
    config.fold = "split1/0"
    config.augment.flip, config.flow = True, "stored"
    config.model = {
        "name": "two_stream_rnn",
        "spatial": {"name": "frame_pool", "backbone": {"name": "googlenet"}},
        "temporal": {"name": "stacked_flow", "backbone": {"name": "googlenet"}, "num_fields": 1},
        "cell": "lstm",
        "hidden": 512,
        "dropout": 0.5,
    }
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-4}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 32, 60.0
    return config
