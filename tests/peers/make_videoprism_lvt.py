"""Writes videoprism_lvt.json: what the authors' video-text network and tokenizer compute, parameters from formula.py.

    python tests/peers/make_videoprism_lvt.py [--published]
        needs vidjax, einshape, sentencepiece, TensorFlow and google-deepmind/videoprism

Compares ours on the way: embeddings of videos and texts, cosines, tokens, and how far swapping two frames or two words
moves them. With --published it compares LvT-B on 2 frames of 72x72 and texts of 64 tokens; that writes nothing. Made at
commit d481d91b9bf8c9d330d1e526e511a359c799bbe1 with sentencepiece 0.2.3.
"""

import argparse
import base64
import hashlib
import io
import json
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sentencepiece
import videoprism
from flax import traverse_util
from formula import draw_tree, uniform
from sentences import sentences
from videoprism import encoders, models, tokenizers

from vidjax import trees
from vidjax.data.sentence_pieces import SentencePieces
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.models.clip import unit
from vidjax.models.videoprism_lvt import VideoPrismText
from vidjax.weights import importers
from vidjax.weights import videoprism as layout

SMALL = {"dim": 32, "depth": 3, "time_depth": 2, "num_heads": 4, "patch": (6, 6), "positions": (4, 3, 3)}
TEXT = {"vocabulary": 60, "length": 12, "dim": 32, "depth": 3, "num_heads": 4}
CASES = {"same": (4, 18, 18), "larger": (6, 30, 30), "smaller": (3, 12, 12)}  # see make_videoprism.py
TOKENS = np.array([[3, 7, 59, 0, -1, -1, -1, -1], [40, 2, 2, 9, 11, 0, 58, 5], [1] + [-1] * 7])
NAMES = dict(torch_names.NAMES["videoprism"])


def difference(a, b) -> str:
    return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"


def compare(video_sizes: dict, text_sizes: dict, shape: tuple[int, int, int], tokens: np.ndarray) -> dict:
    """Prints the largest differences, as shares of the largest value; returns their outputs."""
    video, theirs, towers = uniform("video", (2, *shape, 3)), {}, []
    for model, of, given in (
        (make_model("videoprism_lvt_b", **video_sizes), importers.LVT_VIDEO, video),
        (VideoPrismText(**text_sizes), importers.LVT_TEXT, tokens),
    ):
        variables = {"params": draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])}
        flat = traverse_util.flatten_dict(variables, sep="/")
        theirs |= torch_names.to_torch(flat, of._replace(pack=dict), NAMES[of])
        towers.append((model, variables))
    (image, of_image), (text, of_text) = towers
    theirs = layout.pack(theirs, image.dim // image.num_heads)
    theirs = jax.tree.map(jnp.asarray, traverse_util.unflatten_dict(theirs, sep="/"))  # they add to scales in place
    peer = encoders.FactorizedVideoCLIP(
        patch_size=image.patch[0],
        pos_emb_shape=image.positions,
        model_dim=image.dim,
        num_spatial_layers=image.depth,
        num_temporal_layers=image.time_depth,
        num_auxiliary_layers=image.joint_depth,
        num_unimodal_layers=text.depth,
        num_heads=image.num_heads,
        mlp_dim=4 * image.dim,
        vocabulary_size=text.vocabulary,
        atten_logit_cap=50.0,
        scan=True,
    )
    given = video, jnp.maximum(tokens, 0), jnp.asarray(tokens < 0, jnp.float32)
    expected = jax.eval_shape(peer.init, jax.random.key(0), *given)
    assert trees.shapes(expected) == trees.shapes(theirs)
    with jax.default_matmul_precision("highest"):
        videos, texts = (np.asarray(x) for x in peer.apply(theirs, *given)[:2])
        apply, embed = jax.jit(image.apply), jax.jit(lambda *x: unit(text.apply(*x)[0]))
        ours, words = np.asarray(apply(of_image, video)[0])[:, 0], np.asarray(embed(of_text, tokens))
        found = {"videos": difference(ours, videos), "texts": difference(words, texts)}
        found["cosines"] = difference(ours @ words.T, videos @ texts.T)
        other = np.asarray(apply(of_image, video[:, [1, 0, *range(2, shape[0])]])[0])[:, 0]
        moved = {"frames": difference(other, videos)}
        patch, swapped = image.patch[0], video.copy()
        swapped[:, :, :patch, :patch] = video[:, :, -patch:, -patch:]
        swapped[:, :, -patch:, -patch:] = video[:, :, :patch, :patch]
        moved["patches"] = difference(np.asarray(apply(of_image, swapped)[0])[:, 0], videos)
        other = np.asarray(embed(of_text, tokens[:2, [1, 0, *range(2, tokens.shape[1])]]))
        moved["words"] = difference(other, texts[:2])
    print(shape, found, "two of them swapped:", moved)
    kept = {"videos": videos, "texts": texts, "cosines": videos @ texts.T}
    return {name: x.astype(float).round(6).tolist() for name, x in kept.items()}


def compare_shapes() -> dict[str, list[int]]:
    """Returns the names and shapes of the arrays of LvT-B, the same as in its file, and the number of parameters."""
    given = jnp.zeros((1, 16, 288, 288, 3)), jnp.zeros((1, 64), int), jnp.zeros((1, 64))
    peer = jax.eval_shape(models.get_model("videoprism_lvt_public_v1_base").init, jax.random.key(0), *given)
    shapes = {name: list(shape) for name, shape in trees.shapes(peer).items()}
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    print(f"LvT-B: {len(shapes)} arrays, {count:,} parameters")
    return {"arrays": shapes, "parameters": count}


def train_pieces(**settings) -> bytes:
    """Returns a small SentencePiece model, trained on the sentences."""
    found, lines = io.BytesIO(), [" ".join(text.split()) for text in sentences()[:500]]
    given = {"sentence_iterator": iter([line.lower() for line in lines]), "model_writer": found, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(vocab_size=90, **given, **settings)
    return found.getvalue()


def compare_tokens(content: bytes, what: str) -> dict:
    """Compares 1,000 texts; returns the digests of their numbers and paddings, and the numbers of the first two."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentencepiece.model"
        path.write_bytes(content)
        peer = tokenizers.SentencePieceTokenizer(str(path))
        ids, paddings = models.tokenize_texts(peer, sentences())
        ours = SentencePieces(path)(sentences(), 64)
    same = (np.maximum(ours, 0) == ids) & ((ours < 0) == (paddings > 0))
    cut = (paddings[:, -1] == 0).sum()
    start = "a start first" if peer.bos_token >= 0 else "no start"
    equal = f"{same.all(1).sum()} of {len(ids)} texts equal, {cut} of them full or cut"
    print(f"{what}, {peer.vocab_size} tokens, {start}: {equal}")
    assert same.all()
    digests = {name: hashlib.sha256(x.tobytes()).hexdigest() for name, x in (("ids", ids), ("paddings", paddings))}
    return digests | {
        "first": [row[row_paddings == 0].tolist() for row, row_paddings in zip(ids, paddings, strict=True)][:2]
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", action="store_true", help="compare at the published width; writes nothing")
    if parser.parse_args().published:
        tokens = np.full((2, 64), -1)
        tokens[0, :5], tokens[1] = [8, 3, 31999, 0, 7], np.arange(64) * 499
        compare({}, {}, (2, 72, 72), tokens)
        return
    golden = {name: compare(SMALL, TEXT, shape, TOKENS) for name, shape in CASES.items()}
    golden |= {"published": compare_shapes()}
    theirs = Path(videoprism.__path__[0]) / "assets/testdata/test_spm.model"
    compare_tokens(theirs.read_bytes(), "the authors' test_spm.model")
    compare_tokens(train_pieces(pad_id=3), "trained, with a start")
    # As the published one, no start and padding 0; without a table of Unicode, which would be 240 KB
    numbers = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    compare_tokens(train_pieces(**numbers), "trained")
    pieces = train_pieces(normalization_rule_name="identity", **numbers)
    golden["tokens"] = compare_tokens(pieces, "trained, kept") | {"model": base64.b64encode(pieces).decode()}
    path = Path(__file__).with_name("videoprism_lvt.json")
    path.write_text(json.dumps(golden) + "\n")
    print(path, f"{path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
