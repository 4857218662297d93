"""Weights of networks that compare videos with texts."""

import dataclasses

from vidjax.data.sentence_pieces import SentencePieces
from vidjax.data.text_tokens import Tokenizer
from vidjax.models.clip import CLIPText
from vidjax.models.videoprism_lvt import VideoPrismText
from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table.entry import Text, Weights
from vidjax.weights.table.transformers import TRANSFORMERS

# preprocessor_config.json of openai/clip-vit-base-patch32
CLIP = {"mean": [122.7709383, 116.7460125, 104.09373615], "std": [68.5005327, 66.6321579, 70.32316305]}
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
        text=Text(CLIPText, sizes | activation, of_text, Tokenizer, CLIP_BPE),
    )


def _videoprism_lvt():
    """Returns the entry of LvT-B, which reads videos as its encoder does."""
    repository, file = "google/videoprism-lvt-base-f16r288", "flax_lvt_base_f16r288_repeated.npz"
    vocabulary = "t5-data/vocabs/cc_en.32000/sentencepiece.model"  # "c4_en" in the authors' models.py
    encoder = TRANSFORMERS["videoprism_b"]
    return dataclasses.replace(
        encoder,
        what="VideoPrism-LvT-B, video tower; classes in words, trained on videos and texts",
        source=f"{encoder.source.partition(';')[0]}; {repository} on huggingface.co",
        files=(File(f"{repository}/{file}", f"https://huggingface.co/{repository}/resolve/main/{file}"),),
        layout=importers.LVT_VIDEO,
        model={"name": "videoprism_lvt_b"},
        text=Text(
            VideoPrismText,
            {},
            importers.LVT_TEXT,
            SentencePieces,
            File(vocabulary, f"https://storage.googleapis.com/{vocabulary}"),
        ),
    )


WORDS = {
    "clip_vit_b32": _clip("openai/clip-vit-base-patch32", "clip_b32", "OpenAI's 400 million images"),
    "clip_vit_b16": _clip("openai/clip-vit-base-patch16", "clip_b16", "OpenAI's 400 million images"),
    "clip_vit_l14": _clip(
        "openai/clip-vit-large-patch14", "clip_l14", "OpenAI's 400 million images", dim=768, num_heads=12,
        embedding=768),
    "clip_vit_b32_laion2b": _clip(
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "clip_b32", "LAION-2B", "open_clip_model.safetensors"),
    "videoprism_lvt_b": _videoprism_lvt(),
}  # fmt: skip
