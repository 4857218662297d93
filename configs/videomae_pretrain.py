"""VideoMAE's pretraining: reconstructs the masked part of a clip from the rest, without labels.

    python -m vidjax.train --config configs/videomae_pretrain.py --workdir runs/pretrain
    python -m vidjax.train --config configs/video_transformer.py:network=videomae --config.init_from=runs/pretrain \\
        --config.label_fraction=0.05 --workdir runs/few_labels

`size=full` is the recipe of Tong et al., 2022, as in the authors' run_mae_pretraining.py and scripts/kinetics: AdamW
with beta2 = 0.95 and weight decay 0.05, learning rate 1.5e-4 * batch_size / 256 for 800 epochs with a warm-up over 40,
clips of 16x224x224 at stride 4 (not measured). The small size has the encoder of configs/video_transformer.py. It
masks 60 %, and predicts pixels as they are: docs/pretraining.md.
"""

from configs.common import data

DECODERS = {  # of each size of the encoder, as in the authors' code
    "videomae_s": {"dim": 384, "num_heads": 6, "decoder_dim": 192, "decoder_heads": 3},
    "videomae_b": {"dim": 768, "num_heads": 12, "decoder_dim": 384, "decoder_heads": 6},
    "videomae_l": {
        "dim": 1024,
        "depth": 24,
        "num_heads": 16,
        "decoder_dim": 512,
        "decoder_heads": 8,
        "decoder_depth": 12,
    },
}
SMALL_DECODER = {"decoder_dim": 96, "decoder_depth": 2, "decoder_heads": 3}
MASK = {"mask_ratio": 0.9, "normalised": True}
SMALL_MASK = {"mask_ratio": 0.6, "normalised": False}
SMALL = {"dim": 96, "depth": 4, "num_heads": 3, "patch": (2, 8, 8), **SMALL_DECODER}


def get_config(argument=""):
    """`size` is small or full; `network`, of the full size, is one of `DECODERS`."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", network="videomae_b")
    config = data.get_config(arg.dataset, arg.size, arg.fold)
    config.loss = {"name": "reconstruction"}
    config.augment.crop = "resized" if arg.size == "full" else "random"
    if arg.size == "full":
        if arg.network not in DECODERS:
            raise ValueError(f"Unknown network {arg.network!r}; choose one of {', '.join(DECODERS)}.")
        config.clip = {**config.clip.to_dict(), "num_frames": 16, "frame_stride": 4, "size": 224, "resize": 256}
        config.preprocess = data.IMAGENET
        config.model = {"name": "videomae_pretrain", **DECODERS[arg.network], **MASK}
        config.batch_size, config.num_epochs = 1024, 800.0
        config.schedule = {"name": "cosine", "learning_rate": 1.5e-4 * 1024 / 256, "warmup_steps": 1000}
    else:
        config.model = {"name": "videomae_pretrain", **SMALL, **SMALL_MASK}
        config.batch_size, config.num_epochs = 32, 40.0
        config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 100}
    clip_norm = 0.0 if arg.size == "full" else 1.0
    config.optimizer = {"name": "adamw", "weight_decay": 0.05, "beta2": 0.95, "clip_norm": clip_norm}
    return config
