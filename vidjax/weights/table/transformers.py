"""Weights of video transformers."""

import dataclasses

from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import HALF, IMAGENET, KINETICS400, MINUS_ONE_TO_ONE, Weights, torchvision

SWIN = {  # the same in models/video/swin_transformer.py
    "inputs": {"fps": 15.0, "short_side": 256},
    "clip": {"num_frames": 32, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
MVIT = {  # the same in models/video/mvit.py
    "inputs": {"fps": 7.5, "short_side": 256},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
LIU = "Liu et al., CVPR 2022, https://arxiv.org/abs/2106.13230"


def _hub(repository: str, model: str, what: str, source: str, licence: str, layout, preprocess: dict, clip: dict):
    """Returns an entry for a network of huggingface.co, normalised as its preprocessor does; it gives no checksum."""
    file = "pytorch_model.bin" if "timesformer" in repository else "model.safetensors"
    return Weights(
        what=f"{what} trained on Kinetics-400",
        source=f"{source}; {repository} on huggingface.co",
        licence=licence,
        files=(File(f"{repository}/{file}", f"https://huggingface.co/{repository}/resolve/main/{file}"),),
        layout=layout,
        model={"name": model},
        labels=KINETICS400,
        inputs={"fps": 30.0, "short_side": 256},
        clip={**clip, "size": 224, "resize": 224, "sampling": "clip"},
        preprocess=preprocess,
    )


def _videomae(size: str):
    what = f"VideoMAE-{size[0].upper()}, pretrained without labels and"
    source = "Tong et al., NeurIPS 2022, https://arxiv.org/abs/2203.12602"
    clip = {"num_frames": 16, "frame_stride": 4}  # the paper, section 4.1
    repository = f"MCG-NJU/videomae-{size}-finetuned-kinetics"
    model, layout = f"videomae_{size[0]}", importers.VIDEOMAE
    return _hub(repository, model, what, source, "CC BY-NC 4.0", layout, IMAGENET, clip)


def _videomae_pretrained():
    """Returns the entry of the encoder and decoder before fine-tuning."""
    entry = _videomae("base")
    repository = "MCG-NJU/videomae-base"
    file = f"{repository}/model.safetensors"
    return dataclasses.replace(
        entry,
        what="VideoMAE-B with its decoder, pretrained on Kinetics-400 without labels",
        source=entry.source.replace(f"{repository}-finetuned-kinetics", repository),
        files=(File(file, f"https://huggingface.co/{repository}/resolve/main/model.safetensors"),),
        layout=importers.VIDEOMAE_PRETRAIN,
        model={"name": "videomae_pretrain"},
        labels=(),
    )


def _videoprism(size: str, num_frames: int):
    repository, file = f"google/videoprism-{size}-f{num_frames}r288", f"flax_{size}_f{num_frames}r288_repeated.npz"
    return Weights(
        what=f"VideoPrism-{size[0].upper()}, pretrained without classes: for features, see configs/attentive_probe.py",
        source=f"Zhao et al., ICML 2024, https://arxiv.org/abs/2402.13217; {repository} on huggingface.co",
        licence="Apache-2.0",
        files=(File(f"{repository}/{file}", f"https://huggingface.co/{repository}/resolve/main/{file}"),),
        layout=importers.VIDEOPRISM,
        model={"name": f"videoprism_{size[0]}"},
        labels=(),
        inputs={"fps": 25.0, "short_side": 288},
        # google-deepmind/videoprism, colabs: frames in equal steps over the whole video
        clip={"num_frames": num_frames, "frame_stride": 1, "size": 288, "resize": 288, "sampling": "segments"},
        preprocess={"mean": [0.0] * 3, "std": [255.0] * 3},
    )


TRANSFORMERS = {
    "torchvision_swin3d_t": torchvision(
        "swin3d_t-7615ae03.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_t"),
    "torchvision_swin3d_s": torchvision(
        "swin3d_s-da41c237.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_s"),
    "torchvision_swin3d_b": torchvision(
        "swin3d_b_1k-24f7c7c6.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_b"),
    "torchvision_mvit_v1_b": torchvision(
        "mvit_v1_b-dbeb1030.pth", importers.MVIT,
        "Fan et al., ICCV 2021, https://arxiv.org/abs/2104.11227", HALF, MVIT),
    "torchvision_mvit_v2_s": torchvision(
        "mvit_v2_s-ae3be167.pth", importers.MVIT,
        "Li et al., CVPR 2022, https://arxiv.org/abs/2112.01526", HALF, MVIT),
    "videomae_s_kinetics400": _videomae("small"),
    "videomae_b_kinetics400": _videomae("base"),
    "videomae_l_kinetics400": _videomae("large"),
    "videomae_b_pretrained": _videomae_pretrained(),
    "timesformer_kinetics400": _hub(
        "facebook/timesformer-base-finetuned-k400", "timesformer", "TimeSformer, divided attention,",
        "Bertasius et al., ICML 2021, https://arxiv.org/abs/2102.05095", "CC BY-NC 4.0", importers.TIMESFORMER,
        HALF, {"num_frames": 8, "frame_stride": 32}),
    "vivit_kinetics400": _hub(
        "google/vivit-b-16x2-kinetics400", "vivit", "ViViT-B/16x2, model 1,",
        "Arnab et al., ICCV 2021, https://arxiv.org/abs/2103.15691", "MIT", importers.VIVIT,
        MINUS_ONE_TO_ONE, {"num_frames": 32, "frame_stride": 2}),
    "videoprism_b": _videoprism("base", 16),
    "videoprism_l": _videoprism("large", 8),
}  # fmt: skip
