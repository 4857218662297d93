"""Two-stream I3D (Carreira and Zisserman, CVPR 2017): one I3D on frames and one on flow, whose logits are added.

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=rgb --workdir runs/i3d_rgb
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=flow --workdir runs/i3d_flow
    python -m vidjax.evaluate --workdir runs/i3d_rgb runs/i3d_flow --fusion logits
    python -m vidjax.train --config configs/two_stream_i3d.py:stream=joint --workdir runs/i3d_joint

An eighth of the channels. On motion (480 test videos, one seed, one core of an AMD EPYC): rgb 99.6 % in 11.7 minutes,
flow 100.0 % in 10.8, fused by logits 100.0 %, joint 100.0 % in 20.9. The published networks are `kinetics_i3d_rgb` and
`kinetics_i3d_flow`. To start a joint model of full width from them, set
`--config.init_from=kinetics_i3d_rgb,kinetics_i3d_flow` (not tested: the files were not downloaded).
"""

from configs.common import data


def get_config(argument=""):
    """`stream` is rgb, flow or joint."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", stream="joint")
    stream, config = arg.stream, data.get_config(arg.dataset, arg.size, arg.fold)
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
