"""Invalid configs, and what the messages say."""

import pytest

from vidjax import config_checks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rat": 1}, r"no key learning_rat; valid keys are accumulate, augment, batch_classes, batch_size"),
        ({"clip.num_frame": 8}, "config.clip has no num_frame; it takes num_frames, frame_stride"),
        ({"augment.flips": True}, "config.augment has no flips"),
        ({"augment.erase": 2.0}, "augment.erase = 2.0 must be a probability"),
        ({"augment.erase": 0.5, "clip.sampling": "chunks"}, "augment.erase: the chunks of a video would get different"),
        ({"augment.mixup": 0.8, "flow": "farneback"}, "augment.mixup: frames are augmented, not their optical flow"),
        ({"augment.cutmix": 1.0, "target": "frame"}, "cutmix need config.target = 'clip' and the loss softmax or"),
        ({"augment.mixup": 0.8, "loss": {"name": "segmentation"}}, "not 'clip' and 'segmentation': the targets of two"),
        ({"augment.repeat": 2, "batch_classes": 2}, "augment.repeat does not go with config.batch_classes"),
        ({"optimizer.layer_decay": 0.75}, r"needs a network with numbered blocks, such as block0; this one has \["),
        ({"optimizer.layer_decay": 7.5}, "optimizer.layer_decay = 7.5 must be between 0 and 1"),
        ({"keep_best": "top1"}, "Unknown keep_best 'top1'; choose one of val_loss, val_top1"),
        ({"keep_best": "val_loss", "val_splits": ()}, "needs config.val_splits: a test split never selects anything"),
        ({"keep_best": "val_loss", "test_splits": ("val",)}, r"choose the checkpoint by the test splits \['val'\]"),
        ({"optimizer.beta": 0.9}, "config.optimizer has no beta"),
        ({"optimizer.name": "lion"}, "Unknown optimizer 'lion'; choose sgd or adamw"),
        ({"schedule.rate": 0.9}, "config.schedule has no rate"),
        ({"loss.name": "hinge"}, "Unknown loss 'hinge'; choose one of softmax, sigmoid, squared_error"),
        ({"augment.crop": "center"}, "Unknown crop 'center'; choose one of random, resized, centre"),
        ({"accumulate": 0}, "config.accumulate = 0 must be 1 or more"),
        ({"batch_size": 0}, "config.batch_size = 0 must be 1 or more"),
        ({"log_every": 0}, "config.log_every = 0 must be 1 or more"),
        ({"eval_every": 0}, "config.eval_every = 0 must be 1 or more"),
        ({"checkpoint_every": 0}, "config.checkpoint_every = 0 must be 1 or more"),
        ({"eval.num_views": 0}, "config.eval.num_views = 0 must be 1 or more"),
        ({"eval.num_crops": 2}, r"config.eval.num_crops = 2: choose one of \(1, 3, 10\)"),
        ({"eval.protocol": "30 views"}, "Unknown config.eval.protocol '30 views'; choose one of 'centre clip'"),
        ({"eval.protocol": "charades"}, "protocol = 'charades' is for videos with several labels, the loss sigmoid"),
        ({"eval.protocol": "10 views", "target": "frame"}, "protocol = '10 views' is for whole videos and the losses"),
        (
            {"eval.protocol": "10 views", "clip.sampling": "segments"},
            "protocol = '10 views' cuts 10 clips, but config.clip.sampling = 'segments' covers a video once",
        ),
        ({"ema_decay": 1.0}, "config.ema_decay = 1.0 must be 0 or more, and below 1"),
        ({"loss": {"name": "softmax", "label_smoothing": 10}}, "config.loss.label_smoothing = 10 must be 0 or more"),
        ({"num_epochs": -1.0}, "config.num_epochs = -1.0 must be more than 0: passes over"),
        (
            {"accumulate": 2, "clip.sampling": "chunks"},
            "accumulate > 1 cannot be used with config.clip.sampling = 'chunks'",
        ),
        (
            {"accumulate": 2, "loss": {"name": "triplet"}},
            "accumulate = 2: the loss 'triplet' compares all clips of a batch, and would miss",
        ),
        ({"target": "frame", "loss": {"name": "prototypical"}}, "one class per clip, not config.target = 'frame'"),
        ({"loss": {"name": "siamese"}}, "The loss 'siamese' and the model 'siamese' need each other"),
        ({"loss": {"name": "triplet", "label_smoothing": 0.1}}, "config.loss has no label_smoothing"),
        ({"batch_classes": 3}, "config.batch_classes = 3 with config.batch_size = "),
        ({"dtype": "int8"}, "Unknown dtype 'int8'; choose float32 or bfloat16"),
        ({"model.name": "i4d"}, "model: unknown network 'i4d'; choose one of alexnet, .*c3d, .*i3d"),
        ({"model.widht": 2}, "model: frame_pool has no argument widht; choose from"),
        ({"mesh.fsdp": 3}, "mesh.fsdp = 3 must divide the number of devices, 1"),
        ({"dataset": "nowhere"}, "No dataset at nowhere"),
        ({"train_splits": ("holdout",)}, r"No split 'holdout' in .*; it has \['test', 'train', 'val'\]"),
        ({"schedule.warmup_steps": 99}, "warmup_steps = 99 must be below the 12 steps of the run"),
        ({"clip.size": 64}, "crop of 64 pixels does not fit in frames of 32x32"),
    ],
)
def test_invalid_configs(change, message, tiny_config, tmp_path):
    from vidjax import train

    with tiny_config.unlocked():
        for key, value in change.items():
            part, _, name = key.rpartition(".")
            (tiny_config[part] if part else tiny_config)[name] = value
    with pytest.raises(ValueError, match=message):
        train.train(tiny_config, tmp_path)


def test_a_missing_key(tiny_config):
    del tiny_config.batch_size
    with pytest.raises(ValueError, match="lacks\n  batch_size: clips in a global batch"):
        config_checks.check(tiny_config)
