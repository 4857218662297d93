"""A small CLIP as a file of transformers' format, with a tokenizer of a few words."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy
import tokenizers

from tests.peers.formula import draw_tree
from vidjax.data.text_tokens import END, START, Tokenizer
from vidjax.export.torch_names import NAMES, to_torch
from vidjax.models import make_model
from vidjax.models.clip import CLIPText
from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table import WEIGHTS, Text, Weights

IMAGE = {"dim": 16, "depth": 1, "num_heads": 2, "embedding": 12, "patch": (16, 16), "positions": (3, 3)}
SIZES = {"length": 16, "dim": 8, "depth": 1, "num_heads": 2, "embedding": 12}
WORDS = "a video of person down up left right growing shrinking clockwise counter . <unk>".split()


def write_tokenizer(path: Path, words=WORDS) -> Path:
    numbers = {word: i for i, word in enumerate([*words, START, END])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ends = [(START, numbers[START]), (END, numbers[END])]
    single = f"{START} $A {END}"
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single=single, special_tokens=ends)
    tokenizer.save(str(path))
    return path


def write_small_clip(cache: Path) -> Weights:
    """Writes the files of an entry into the cache, and returns the entry."""
    text = SIZES | {"vocabulary": len(WORDS) + 2}
    arrays, name_of = {}, dict(NAMES["transformers"])
    for model, layout, given in (
        (make_model("clip_b32", **IMAGE), importers.CLIP_IMAGE, np.zeros((1, 1, 48, 48, 3), np.float32)),
        (CLIPText(**text), importers.CLIP_TEXT, np.zeros((1, 4), int)),
    ):
        params = draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])
        flat = {"/".join(key.key for key in path): x for path, x in jax.tree.leaves_with_path({"params": params})}
        arrays |= to_torch(flat, layout, name_of[layout])
    (cache / "small").mkdir(parents=True)
    safetensors.numpy.save_file(arrays, cache / "small/model.safetensors")
    write_tokenizer(cache / "small/tokenizer.json")
    source = "https://example.invalid/small"
    return dataclasses.replace(
        WEIGHTS["clip_vit_b32"],
        files=(File("small/model.safetensors", source),),
        model={"name": "clip_b32", **IMAGE},
        clip={"num_frames": 2, "frame_stride": 1, "size": 48, "resize": 48, "sampling": "segments"},
        text=Text(CLIPText, text, importers.CLIP_TEXT, Tokenizer, File("small/tokenizer.json", source)),
    )
