"""I3D, pretrained on Kinetics-400, fine-tuned: the whole network, its upper half, or the classifier alone.

    python -m vidjax.train --config configs/finetune_i3d.py:part=head --workdir runs/finetune_head
    python -m vidjax.train --config configs/finetune_i3d.py:fold=set1/0,part=upper --workdir runs/upper_0

Carreira and Zisserman, 2017. Frozen layers also keep their BatchNorm statistics. To train only the classifier without
augmentation, compute its inputs once: see `configs/frame_pool.py`.

UT-Interaction, 16 frames of 112x112, trained on sequences 2 to 10 (54 videos, 61 steps of 8 clips, one seed): hit@1 on
sequence 1 (6 videos) and on the 60 videos of set 2, which selected nothing. On 2 cores of an AMD EPYC:

            step memory     s/step   sequence 1 %   set 2 %
    full       1.00 GiB        4.6           83.3      93.3
    upper      226 MiB         1.1           83.3      83.3
    head       165 MiB         0.9           66.7      75.0
"""

from configs.common import data

FROZEN = {
    "full": (),
    "upper": ("Conv3d_", "Mixed_3", "Mixed_4[bcd]"),
    "head": ("Conv3d_", "Mixed_"),
}
FIRST_FOLDS = {"ut_interaction": "set1/0"}  # for datasets without the splits train, val and test
LEARNING_RATES = {"full": 1e-3, "upper": 1e-3, "head": 1e-2}


def get_config(argument=""):
    """`part` is the trainable part: full, upper or head."""
    arg = data.parse(argument, dataset="ut_interaction", size="full", fold="", part="head")
    if arg.part not in FROZEN:
        raise ValueError(f"Unknown part {arg.part!r}; choose one of {', '.join(FROZEN)}.")
    fold = arg.fold or FIRST_FOLDS.get(arg.dataset, "")
    config = data.get_config(arg.dataset, arg.size, fold)
    config.model = {"name": "i3d", "dropout": 0.5}
    config.init_from = "i3d_kinetics400_rgb"
    config.freeze = FROZEN[arg.part]
    config.augment.flip = True
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": LEARNING_RATES[arg.part], "warmup_steps": 6}
    config.batch_size, config.num_epochs = 8, 9.0
    config.eval.num_views, config.eval.batch_size = 3, 4
    config.log_every, config.eval_every = 1, 10
    return config
