"""Two-stream I3D (Carreira and Zisserman, CVPR 2017): one I3D on frames, one on flow, the sum of their logits.

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=rgb --workdir runs/i3d_rgb
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=flow --workdir runs/i3d_flow
    python -m vidjax.evaluate --workdir runs/i3d_rgb runs/i3d_flow --fusion logits
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=joint --workdir runs/i3d_joint

An eighth of the channels. On motion (480 test videos, one seed, one core of an AMD EPYC): rgb 99.6 % in 11.7 minutes,
flow 100.0 % in 10.8, fused by logits 100.0 %, joint 100.0 % in 20.9. The published networks are `kinetics_i3d_rgb` and
`kinetics_i3d_flow`, from which a joint model of full width starts by
`--config.init_from=kinetics_i3d_rgb,kinetics_i3d_flow` (not run: the files were not fetched).

`paper` is the stream on flow, on Kinetics-400 from nothing: 61.5 % top-1 of the test set, 71.6 % with the stream on
frames (`configs/i3d.py:paper`; from ImageNet 63.4 and 74.2: the authors' repository). Not measured.
"""

from configs.common import data


def get_config(argument=""):
    """`argument` is paper or DATASET,SIZE[,FOLDS,NUMBER] of common/data.py, then `stream=` rgb, flow or joint."""
    if argument == "paper":
        return paper()
    argument, chosen = data.split_argument(argument, {"stream": "joint"})
    stream, config = chosen["stream"], data.from_argument(argument)
    if stream not in ("rgb", "flow", "joint"):
        raise ValueError(f"Unknown stream {stream!r}; choose rgb, flow or joint.")
    config.clip.num_frames, config.clip.frame_stride = 20, 1
    config.flow = "" if stream == "rgb" else "stored"
    i3d = {"name": "i3d", "width": 0.125}
    if stream == "joint":
        config.model = {"name": "two_stream", "spatial": i3d, "temporal": i3d}
    else:
        config.model = i3d
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    return config


def paper():
    """https://github.com/google-deepmind/kinetics-i3d, README: TV-L1, 155,000 steps; there the rate falls twice, is
    raised again at 115,000 steps, and falls twice more."""
    config = data.get_config("kinetics400", "64x224")
    config.augment.flip, config.flow = True, "stored"
    config.model = {"name": "i3d", "dropout": 0.5}
    config.optimizer = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-7}
    config.schedule = {"name": "steps", "learning_rate": 0.1, "boundaries": (97 / 155, 140 / 155)}
    config.batch_size, config.num_epochs = 384, 248.0  # 155,000 steps of 240,000 videos
    return config
