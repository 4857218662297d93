"""Two-stream networks (Simonyan and Zisserman, NeurIPS 2014): each stream alone, or both trained jointly.

    python -m vidjax.data.make_records motion --short_side 0 --flow opencv_dis --out data/motion
    python -m vidjax.train --config configs/two_stream.py:stream=spatial --workdir runs/rgb
    python -m vidjax.train --config configs/two_stream.py:stream=temporal --workdir runs/flow
    python -m vidjax.evaluate --workdir runs/rgb runs/flow [--fusion svm]
    python -m vidjax.predict video.mp4 --workdir runs/rgb runs/flow
    python -m vidjax.train --config configs/two_stream.py:stream=joint --workdir runs/joint

On motion (480 test videos, one seed, one core of an AMD EPYC): spatial 34.6 % (within pairs 47.9 %, chance) in 1.5
minutes, temporal 100.0 % in 3.1, fused by scores, logits or SVM 100.0 %, joint 100.0 % in 3.0. On coloured, where the
streams cannot exceed 50 % and 25 %: spatial 48.5 %, temporal 23.3 %, fused 100.0 %, joint 100.0 %. On UT-Interaction,
set 1, fold 0, six videos: spatial 5 of 6 in 1.2 minutes, temporal 4 in 3.4, fused 5.

AlexNet's features of UT-Interaction, of frames and (cross-modality) of flow, for the whole protocol (records made
with `--flow opencv_dis`; docs/two_streams.md has the results):

    python -m vidjax.features --weights alexnet_imagenet --records data/ut_interaction --num_frames 16
        --sampling segments --resize 224 224 --out data/ut_interaction_alexnet
    python -m vidjax.train --config configs/two_stream.py:dataset=ut_interaction,size=full,fold=set1/0
        --workdir runs/untrained --config.freeze='("backbone/.*",)' --config.num_epochs=0.1
        --config.schedule.warmup_steps=0
    python -m vidjax.features --workdir runs/untrained --records data/ut_interaction --size 224 --resize 224 224
        --out data/ut_interaction_alexnet_flow

The spatial stream sees one frame, the temporal stream ten fields of stored flow; scores are averaged over five clips
per video (25 in the paper). A ResNet-18 of an eighth of the width replaces CNN-M-2048. For the original, set
`config.model.backbone = {"name": "cnn_m_2048"}`, with `"num_norms": 1` for the temporal stream, on 224x224 frames.
"""

from configs.common import data

FROM_IMAGENET = ("ut_interaction",)  # too few videos to train from scratch


def get_config(argument=""):
    """`stream` is spatial, temporal or joint."""
    arg = data.parse(argument, dataset="motion", size="small", fold="", stream="temporal")
    stream, config = arg.stream, data.get_config(arg.dataset, arg.size, arg.fold)
    backbone = {"name": "resnet18", "width": 0.125}
    spatial = {"name": "frame_pool", "backbone": backbone, "dropout": 0.0}
    temporal = {"name": "stacked_flow", "backbone": backbone, "num_fields": 10, "subtract_mean": True, "dropout": 0.0}
    config.flow = "" if stream == "spatial" else "stored"
    config.clip.num_frames, config.clip.frame_stride = (1 if stream == "spatial" else 10), 1
    if stream == "spatial":
        config.model = spatial
    elif stream == "temporal":
        config.model = temporal
    elif stream == "joint":
        config.model = {"name": "two_stream", "spatial": spatial, "temporal": temporal}
    else:
        raise ValueError(f"Unknown stream {stream!r}; choose spatial, temporal or joint.")
    config.optimizer = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
    config.schedule = {"name": "cosine", "learning_rate": 2e-3, "warmup_steps": 20}
    config.batch_size, config.num_epochs = 16, 6.0
    config.eval.num_views = 5
    if arg.dataset in FROM_IMAGENET:
        from_imagenet(config)
    return config


def from_imagenet(config):
    """Starts from AlexNet's ImageNet convolutions; for flow, from their mean over RGB (cross-modality)."""
    is_joint = config.model.name == "two_stream"
    for stream in (config.model.spatial, config.model.temporal) if is_joint else (config.model,):
        stream.backbone, stream.dropout = {"name": "alexnet", "hidden": 0, "dropout": 0.0}, 0.5
    config.preprocess, config.init_from = data.IMAGENET, "alexnet_imagenet"
    config.schedule.learning_rate = 3e-4
    config.num_epochs, config.eval.num_views = 40.0, 10
