"""Attentive probing: trains an attentive pooler and a classifier on the stored features of a frozen encoder.

    python -m vidjax.features --weights videoprism_b --records data/mine --layer tokens --num_frames 16 \\
        --sampling segments --resize 288 288 --out data/mine_videoprism
    python -m vidjax.train --config configs/attentive_probe.py:dataset=mine_videoprism,steps=4096 --workdir runs/probe

`--layer tokens` stores all 16x16 tokens of each of 16 frames, which the published probe sees; `--layer features` stores
their mean over space, 256 times less, for steps=16. Features of any other network do as well: `heads` divides their
width. `model=frame_pool` is the linear probe of the mean, for comparison.

Zhao et al., "VideoPrism" (ICML 2024). Published for the public VideoPrism-B and -L, frozen, with such a pooler on the
tokens: Kinetics-400 82.9 and 85.0, Something-Something v2 62.2 and 64.6, Diving48 64.3 and 67.6. The authors' example
trains with Adam and a learning rate of 1e-4.
"""

from configs.common import data

MODELS = ("attentive_pooler", "frame_pool")


def get_config(argument=""):
    """`model` is one of `MODELS`, `steps` the number of features per video, `heads` that of the pooler."""
    arg = data.parse(argument, dataset="mine_videoprism", steps=4096, fold="", model="attentive_pooler", heads=12)
    if arg.model not in MODELS:
        raise ValueError(f"Unknown model {arg.model!r}; choose one of {', '.join(MODELS)}.")
    config = data.shared(f"data/{arg.dataset}", num_frames=arg.steps)
    config.fold = arg.fold
    config.model = {"name": arg.model, "dropout": 0.0}
    if arg.model == "attentive_pooler":
        config.model.num_heads = arg.heads
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 1e-4, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 20.0
    config.eval.batch_size = 16
    return config
