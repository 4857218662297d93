"""The temporal stream of two-stream networks on UCF101, split 1, from scratch (Simonyan and Zisserman, NeurIPS 2014).

    python -m vidjax.train --config configs/papers/two_stream_ucf101.py --workdir runs/two_stream_ucf101

Published: 81.0 % (table 1b); the spatial stream, from ImageNet with only the classifier trained, 72.7 % (table 1a).
Fused by an SVM 87.0 % (table 3), 88.0 % over three splits (table 4), both with a temporal stream that also learned
HMDB51. Not measured.
Recipe: Section 5: 80,000 steps of 256 clips, 25 clips per video; here one crop per clip, not ten.
"""

from configs.common import data


def get_config():
    config = data.shared("data/ucf101", num_frames=10, frame_stride=1, size=224, resize=256)
    config.fold = "split1/0"
    config.augment.flip, config.flow = True, "stored"
    config.model = {"name": "stacked_flow", "backbone": {"name": "cnn_m_2048", "num_norms": 1}}
    config.model.dropout = 0.9
    config.optimizer = {"name": "sgd", "momentum": 0.9}
    config.schedule = {"name": "steps", "learning_rate": 1e-2, "boundaries": (50 / 80, 70 / 80)}
    config.batch_size, config.num_epochs = 256, 2147.0  # 80,000 steps of 9,537 videos
    config.eval.num_views = 25
    return config
