"""Frame features of a 2-D network, pooled over time, and a linear classifier of them: blind to the order of frames.

    python -m vidjax.train --config configs/frame_pool.py:pool=max --workdir runs/max
    python -m vidjax.train --config configs/frame_pool.py:ut_interaction_i3d,small,set1,0 --workdir runs/head

On stored features (README.md, "Published weights, prediction, features") the classifier is all that is trained.
UT-Interaction from I3D's, trained on sequences 2 to 10, one seed, on 2 cores of an AMD EPYC: hit@1 of sequence 1 (6
videos) 100 %, of the 60 videos of the other set 83.3 %, 8 ms a step; the features of the 120 videos take two minutes,
once.

`paper` is the single-frame network of LRCN (Donahue et al., 2015) on UCF101: 67.4 % (table 1, mean of three splits; fc6
of a CaffeNet, for which the pooled convolutions of AlexNet stand). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then `pool=` mean, max,
    min or max_min, and `network=` a 2-D network."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"pool": "mean", "network": "resnet18"})
    config = data.from_argument(argument)
    config.model = {"name": "frame_pool", "pool": chosen["pool"], "dropout": 0.0}
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    if argument.startswith("motion"):
        config.model.update({"backbone": {"name": chosen["network"], "width": 0.125}})
        config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
        config.batch_size, config.num_epochs = 16, 6.0
    else:
        config.model.dropout = 0.5
        config.schedule = {"name": "cosine", "learning_rate": 1e-2, "warmup_steps": 6}
        config.batch_size, config.num_epochs = 8, 40.0
    return config


def paper():
    """Donahue et al., the authors' solver: 5,000 steps of 128 frames, the rate divided by ten every 3,000."""
    config = data.from_argument("ucf101,1x224,split1,0")
    config.augment.flip = True
    config.preprocess, config.init_from = data.IMAGENET, "alexnet_imagenet"
    config.model = {"name": "frame_pool", "backbone": {"name": "alexnet", "hidden": 0}, "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 5e-3}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (0.6,)}
    config.batch_size, config.num_epochs = 128, 67.0  # 5,000 steps of 9,537 videos
    config.eval.num_views = 25
    return config
