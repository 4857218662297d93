"""VGG16, inflated from its ImageNet convolutions and fine-tuned, without its fully connected layers.

    python -m vidjax.train --config configs/vgg16_3d.py --workdir runs/vgg16_3d
    python -m vidjax.train --config configs/vgg16_3d.py --workdir runs/vgg16_3d_scratch --config.init_from=

Simonyan and Zisserman, 2015, inflated like Carreira and Zisserman, 2017. Loss and hit@1 on the six videos of sequence
2, after 54 steps on sequences 3 to 10 (16 minutes on 2 shared cores of an AMD EPYC): inflated 1.08 nats and 50 %, from
scratch 1.79 nats (the logarithm of 6 classes) and 17 %. Accuracy over all folds: not measured.
"""

from configs.common import data


def get_config(argument=""):
    arg = data.parse(argument, dataset="ut_interaction", size="small", fold="set1/0")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.preprocess = data.IMAGENET
    config.model = {"name": "vgg16_3d", "hidden": 0}
    config.init_from = "vgg16_imagenet"
    config.augment.flip = True
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-4, "warmup_steps": 6}
    config.batch_size, config.num_epochs = 8, 9.0
    config.eval.batch_size = 8
    config.log_every, config.eval_every = 1, 10
    return config
