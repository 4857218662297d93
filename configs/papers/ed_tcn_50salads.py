"""ED-TCN on 50 Salads, one label per frame, 17 classes (Lea et al., CVPR 2017).

    python -m vidjax.train --config configs/papers/ed_tcn_50salads.py --workdir runs/ed_tcn_50salads

Published: accuracy 64.7 %; F1 at 10, 25 and 50 % overlap 68.0, 63.9 and 52.6 (table 2, five folds). Not measured.
Recipe: The authors' code: two layers of 64 and 96 channels, kernels of 25, 200 epochs in batches of 8. AdamW replaces
RMSProp.
"""

from configs.common import data


def get_config():
    config = data.shared("data/50salads", num_frames=256)
    config.target, config.val_splits = "frame", ()
    config.model = {"name": "tcn", "kind": "encoder_decoder", "channels": (64, 96), "kernel_size": 25, "dropout": 0.3}
    config.model.update({"causal": False, "per_frame": True})
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "constant", "learning_rate": 1e-3}
    config.batch_size, config.num_epochs = 8, 200.0
    return config
