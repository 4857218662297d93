"""The networks of `MODELS` by their names in the literature, for people to read."""

from collections.abc import Mapping

from vidjax.models import PARTS

TITLES = {
    "inception_v1": "Inception-v1",
    "googlenet": "GoogLeNet",
    **{f"resnet{depth}": f"ResNet-{depth}" for depth in (18, 34, 50, 101)},
    "vgg16": "VGG16",
    "alexnet": "AlexNet",
    "cnn_m_2048": "CNN-M-2048",
    "small_cnn": "Small CNN",
    "conv4": "Conv-4",
    **{f"vit_{size.lower()}": f"ViT-{size}" for size in "SBL"},
    "clip_b32": "CLIP ViT-B/32",
    "clip_b16": "CLIP ViT-B/16",
    "clip_l14": "CLIP ViT-L/14",
    "c3d": "C3D",
    "vgg16_3d": "VGG16, inflated",
    "i3d": "I3D",
    "s3d": "S3D",
    "r3d_18": "R3D-18",
    "r3d_34": "R3D-34",
    "mc3_18": "MC3-18",
    "r2plus1d_18": "R(2+1)D-18",
    "r2plus1d_34": "R(2+1)D-34",
    **{f"x3d_{size.lower()}": f"X3D-{size}" for size in ("XS", "S", "M", "L")},
    "slowonly_r50": "SlowOnly R50",
    "slowfast_r50_4x16": "SlowFast R50 4x16",
    "slowfast_r50_8x8": "SlowFast R50 8x8",
    "slowfast_r101_8x8": "SlowFast R101 8x8",
    "timesformer": "TimeSformer",
    "vivit": "ViViT",
    "vivit_factorised": "ViViT, factorised encoder",
    "video_swin_t": "Video Swin-T",
    "video_swin_s": "Video Swin-S",
    "video_swin_b": "Video Swin-B",
    "mvit_v1_b": "MViT-B",
    "mvit_v2_s": "MViTv2-S",
    "videomae_s": "VideoMAE ViT-S",
    "videomae_b": "VideoMAE ViT-B",
    "videomae_l": "VideoMAE ViT-L",
    "videoprism_b": "VideoPrism-B",
    "videoprism_l": "VideoPrism-L",
    "videoprism_lvt_b": "VideoPrism-LvT-B",
    "raft_large": "RAFT",
    "raft_small": "RAFT-small",
    "flownet_s": "FlowNetS",
    "flownet_c": "FlowNetC",
    "spynet": "SPyNet",
    "tsm": "TSM",
    "fusion": "Fusion over time",
    "frame_pool": "Pooled frame features",
    "attentive_pooler": "Attentive pooling",
    "frame_rnn": "Recurrent network",
    "clip_rnn": "Recurrent network over clips",
    "skip_rnn": "Skip RNN",
    "conv_lstm": "ConvLSTM",
    "tcn": "TCN",
    "ms_tcn": "MS-TCN",
    "asformer": "ASFormer",
    "stacked_flow": "Temporal stream",
    "flow_stream": "Temporal stream with its own optical flow",
    "two_stream": "Two-stream network",
    "two_stream_3d": "Two-stream network, 3-D fusion",
    "two_stream_rnn": "Two-stream network, recurrent",
    "forecaster": "Forecaster",
    "captioner": "Captioner",
    "siamese": "Siamese network",
    "videomae_pretrain": "VideoMAE, masked autoencoder",
    "embedding": "Embedder",
}


def title_of(model: Mapping) -> str:
    """Returns the title of a network with those of its parts.

    Args:
        model: a name in `MODELS` and arguments, such as {"name": "tsm", "backbone": {"name": "resnet50"}}.

    Returns:
        Such as "TSM on ResNet-50"; "I3D (width 0.125)" for a network of other than the published width.
    """
    parts = [title_of(model[part]) for part in PARTS.get(model["name"], {}) if model.get(part)]
    title = TITLES[model["name"]] + (f" on {' and '.join(parts)}" if parts else "")
    width = model.get("width", 1)
    return title if width == 1 else f"{title} (width {width:g})"
