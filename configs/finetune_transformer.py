"""VideoMAE, pretrained on Kinetics-400, fine-tuned on few videos with the authors' recipe.

    python -m vidjax.train --config configs/finetune_transformer.py:dataset=mine,network=videomae_s --workdir runs/mine

Tong et al., 2022, appendix, and the defaults of run_class_finetuning.py in github.com/MCG-NJU/VideoMAE: AdamW with
weight decay 0.05, learning rate 1e-3 * batch_size / 256, layer decay 0.75, drop path 0.1, mixup 0.8 or CutMix 1.0,
label smoothing 0.1, RandAugment "rand-m7-n4-mstd0.5-inc1", random erasing 0.25, two clips per video in a batch, warm-up
over 5 epochs, and 5 x 3 views in tests. Their script for UCF101 has the rate 5e-4 * batch_size / 256, layer decay 0.7,
drop path 0.2 and dropout 0.5.

Set `schedule.warmup_steps` to 5 epochs of your videos. An epoch is as many clips as there are videos: with
`augment.repeat = 2`, two epochs see each video as often as one of theirs. Set `augment.flip = False` where mirroring
changes the label.

The checkpoint with the lowest validation loss is kept and used. To unfreeze step by step, train the classifier first,
with `--config.freeze='("encoder/",)'`, then start another run from it: `--config.init_from=runs/first`.
"""

from configs.common import data

NETWORKS = ("videomae_s", "videomae_b", "videomae_l")
FIRST_FOLDS = {"ut_interaction": "set1/0"}  # for datasets without the splits train, val and test


def get_config(argument=""):
    arg = data.parse(argument, dataset="mine", size="full", fold="", network="videomae_b")
    if arg.network not in NETWORKS:
        raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(NETWORKS)}.")
    config = data.get_config(arg.dataset, arg.size, arg.fold or FIRST_FOLDS.get(arg.dataset, ""))
    config.clip = {**config.clip.to_dict(), "num_frames": 16, "size": 224, "resize": 256}
    config.preprocess = data.IMAGENET
    config.model = {"name": arg.network, "drop_path": 0.1}
    config.init_from = f"{arg.network}_kinetics400"
    config.augment.update({"crop": "resized", "flip": True, "rand_augment": (4, 7.0), "erase": 0.25})
    config.augment.update({"mixup": 0.8, "cutmix": 1.0, "repeat": 2})
    config.loss.label_smoothing = 0.1
    config.batch_size, config.num_epochs = 16, 100.0
    config.optimizer = {"name": "adamw", "weight_decay": 0.05, "layer_decay": 0.75}
    config.schedule = {"name": "cosine", "learning_rate": 1e-3 * config.batch_size / 256, "warmup_steps": 50}
    config.keep_best = "" if config.fold else "val_loss"  # a fold has no validation split
    config.eval.num_views, config.eval.num_crops, config.eval.batch_size = 5, 3, 2
    return config
