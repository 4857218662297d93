"""A small VideoPrism-LvT as a file of the authors' format, with a small SentencePiece model."""

import base64
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util

from tests.peers.formula import draw_tree
from vidjax.data.sentence_pieces import SentencePieces
from vidjax.export.torch_names import NAMES, to_torch
from vidjax.models import make_model
from vidjax.models.videoprism_lvt import VideoPrismText
from vidjax.weights import importers
from vidjax.weights.downloads import File
from vidjax.weights.table import WEIGHTS, Text, Weights

GOLDEN = json.loads((Path(__file__).parent / "peers/videoprism_lvt.json").read_text())
VIDEO = {"dim": 128, "depth": 1, "time_depth": 1, "joint_depth": 1, "num_heads": 2, "patch": (16, 16)}
VIDEO |= {"positions": (2, 3, 3)}
SIZES = {"vocabulary": 90, "length": 16, "dim": 128, "depth": 1, "num_heads": 2}


def write_pieces(path: Path) -> Path:
    path.write_bytes(base64.b64decode(GOLDEN["tokens"]["model"]))
    return path


def small_lvt() -> dict[str, np.ndarray]:
    """The arrays of both towers, by the authors' names."""
    arrays, name_of = {}, dict(NAMES["videoprism"])
    for model, layout, given in (
        (make_model("videoprism_lvt_b", **VIDEO), importers.LVT_VIDEO, np.zeros((1, 2, 48, 48, 3), np.float32)),
        (VideoPrismText(**SIZES), importers.LVT_TEXT, np.zeros((1, 4), int)),
    ):
        params = draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])
        flat = traverse_util.flatten_dict({"params": params}, sep="/")
        arrays |= to_torch(flat, layout, name_of[layout])
    return arrays


def write_small_lvt(cache: Path) -> Weights:
    """Writes the files of an entry into the cache, and returns the entry."""
    (cache / "small_lvt").mkdir(parents=True)
    np.savez(cache / "small_lvt/model.npz", **small_lvt())
    write_pieces(cache / "small_lvt/sentencepiece.model")
    source = "https://example.invalid/small_lvt"
    return dataclasses.replace(
        WEIGHTS["videoprism_lvt_b"],
        files=(File("small_lvt/model.npz", source),),
        model={"name": "videoprism_lvt_b", **VIDEO},
        clip={"num_frames": 2, "frame_stride": 1, "size": 48, "resize": 48, "sampling": "segments"},
        text=Text(
            VideoPrismText,
            SIZES,
            importers.LVT_TEXT,
            SentencePieces,
            File("small_lvt/sentencepiece.model", source),
        ),
    )
