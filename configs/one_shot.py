"""Embeddings for classes that were not in the training set, trained with one of four losses.

    python -m vidjax.train --config configs/one_shot.py --workdir runs/one_shot
    python -m vidjax.train --config configs/one_shot.py:loss=siamese --workdir runs/siamese

    loss=prototypical   Snell et al. (NeurIPS 2017): 60 ways, 5 shots, Adam at 1e-3, halved on the way, no weight decay
    loss=triplet        Schroff et al. (CVPR 2015): semi-hard triplets with a margin of 0.2, embeddings of unit length;
                        --config.loss.mining=batch_hard for Hermans et al. (2017)
    loss=contrastive    Hadsell et al. (CVPR 2006), with unit length and a margin of 1
    loss=siamese        Koch et al. (2015): 38,951,745 parameters, a learned distance, batches of 128

All but siamese train the network of Snell et al. on frames of 28x28; any other network can take its place, see
models/embedding.py. Drawings are distorted by Koch's affine maps. Unlike in the papers, rotated drawings are not more
classes, training has a fixed length, and siamese has one learning rate for all layers. Measured: docs/one_shot.md.
"""

from configs.common import data

BATCHES = {"prototypical": (60, 6), "triplet": (32, 4), "contrastive": (32, 4), "siamese": (32, 4)}  # classes, clips
LOSSES = {"triplet": {"mining": "semi_hard", "margin": 0.2}, "contrastive": {"margin": 1.0}}


def get_config(argument=""):
    arg = data.parse(argument, dataset="omniglot", loss="prototypical")
    if arg.loss not in BATCHES:
        raise ValueError(f"Unknown loss {arg.loss!r}; choose one of {', '.join(BATCHES)}.")
    config = data.get_config(arg.dataset, "full" if arg.loss == "siamese" else "small")
    config.val_splits = ()  # the test alphabets must not select anything
    config.augment.update({"crop": "centre", "affine": 0.5})
    config.preprocess = data.INK
    config.loss = {"name": arg.loss, **LOSSES.get(arg.loss, {})}
    config.batch_classes, num_clips = BATCHES[arg.loss]
    config.batch_size = config.batch_classes * num_clips
    config.model = {"name": "embedding", "network": {"name": "conv4", "grey": True}}
    if arg.loss in LOSSES:
        config.model.update({"size": 64, "normalise": True})
    config.optimizer = {"name": "adamw"}
    config.schedule = {"name": "steps", "learning_rate": 1e-3, "boundaries": (1 / 3, 2 / 3), "factor": 0.5}
    config.num_epochs = 100.0
    if arg.loss == "siamese":
        config.model = {"name": "siamese"}
        config.schedule.learning_rate = 1e-4
    config.checkpoint_every = 500
    return config
