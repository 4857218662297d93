"""Writes clip.json: what transformers' CLIPModel and CLIPTokenizer compute, with parameters drawn by formula.py.

    python tests/peers/make_clip.py BPE [--published FILE]      needs vidjax, torch and transformers

BPE is OpenAI's bpe_simple_vocab_16e6.txt.gz. Compares ours on the way: both towers, and the similarities. With
--published it compares ViT-B/32 at its published size, and writes a file of these weights in transformers' format.
Made with torch 2.14.1 and transformers 5.24.0.
"""

import argparse
import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import safetensors.torch
import torch
import transformers
from formula import draw_tree, uniform
from sentences import sentences

from vidjax.data.text_tokens import END, START, Tokenizer, bytes_as_letters, read_merges
from vidjax.export.torch_names import NAMES, to_torch
from vidjax.models import make_model
from vidjax.models.clip import CLIPText, unit
from vidjax.weights import importers

IMAGE = {"dim": 32, "depth": 3, "num_heads": 4, "embedding": 24, "patch": (8, 8), "positions": (4, 4)}
TEXT = {"vocabulary": 60, "length": 12, "dim": 16, "depth": 2, "num_heads": 2, "embedding": 24}
TOKENS = np.array([[58, 3, 7, 59, 0, 0, 0], [58, 40, 2, 2, 9, 11, 59]])  # start, words, end, padding


def theirs(image: dict, text: dict, size: int) -> torch.nn.Module:
    def config(sizes: dict) -> dict:
        shared = {"hidden_size": sizes["dim"], "intermediate_size": 4 * sizes["dim"]}
        return {**shared, "num_hidden_layers": sizes["depth"], "num_attention_heads": sizes["num_heads"]}

    vision = {**config(image), "patch_size": image["patch"][0], "image_size": size}
    words = {**config(text), "vocab_size": text["vocabulary"], "max_position_embeddings": text["length"]}
    words |= {"eos_token_id": text["vocabulary"] - 1, "bos_token_id": text["vocabulary"] - 2, "pad_token_id": 0}
    settings = transformers.CLIPConfig(text_config=words, vision_config=vision, projection_dim=text["embedding"])
    return transformers.CLIPModel._from_config(settings, attn_implementation="eager").eval()


def difference(a, b) -> str:
    return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"


def compare(image: dict, text: dict, size: int, tokens: np.ndarray) -> tuple[dict, torch.nn.Module]:
    """Prints the largest differences, as shares of the largest value; returns their embeddings."""
    video, towers = uniform("video", (2, 1, size, size, 3)), {}
    name_of = {layout: f for layout, f in NAMES["transformers"]}
    peer = theirs(image, text, size)
    state = peer.state_dict()
    for model, layout, given in (
        (make_model("clip_b32", **image), importers.CLIP_IMAGE, video),
        (CLIPText(**text), importers.CLIP_TEXT, tokens),
    ):
        params = draw_tree(jax.eval_shape(model.init, jax.random.key(0), given)["params"])
        towers[layout] = model, {"params": params}
        drawn = to_torch(_flat({"params": params}), layout, name_of[layout])
        state |= {name: torch.from_numpy(x).reshape(state[name].shape) for name, x in drawn.items()}
    peer.load_state_dict(state)
    with torch.no_grad():
        pixels = torch.from_numpy(video[:, 0].transpose(0, 3, 1, 2).copy())
        out = peer(torch.from_numpy(tokens), pixels)
        images = peer.visual_projection(peer.vision_model(pixels).pooler_output).numpy()
        texts = peer.text_projection(peer.text_model(torch.from_numpy(tokens)).pooler_output).numpy()
    with jax.default_matmul_precision("highest"):
        (model, variables), (tower, of_text) = towers.values()
        ours, _ = jax.jit(model.apply)(variables, video)
        words, scale = jax.jit(tower.apply)(of_text, tokens)
    ours, words = np.asarray(ours)[:, 0], np.asarray(words)
    similar = scale * unit(ours) @ unit(words).T
    found = {"images": difference(ours, images), "texts": difference(words, texts)}
    found["similarities"] = difference(similar, out.logits_per_image.numpy())
    swapped = video.copy()
    swapped[:, :, : size // 2], swapped[:, :, size // 2 :] = video[:, :, size // 2 :], video[:, :, : size // 2]
    moved = difference(np.asarray(model.apply(variables, swapped)[0])[:, 0], images)
    print(image, text, found, "halves of the image swapped:", moved)
    kept = {"images": images, "texts": texts, "similarities": out.logits_per_image.numpy()}
    return {name: x.astype(float).round(6).tolist() for name, x in kept.items()}, peer


def _flat(tree: dict) -> dict:
    return {"/".join(key.key for key in path): np.asarray(x) for path, x in jax.tree.leaves_with_path(tree)}


def compare_tokens(bpe: Path) -> dict:
    """Compares 1,000 texts; returns the digest of their numbers, and those of the first ten."""
    merges, letters = read_merges(bpe), bytes_as_letters()
    tokens = [*letters, *(f"{x}</w>" for x in letters), *map("".join, merges), START, END]
    peer = transformers.CLIPTokenizer(vocab={x: i for i, x in enumerate(tokens)}, merges=merges)
    expected = [peer(text, max_length=77, truncation=True)["input_ids"] for text in sentences()]
    padded = np.array([ids + [0] * (77 - len(ids)) for ids in expected], np.int32)
    ours = Tokenizer(bpe)(sentences(), 77)
    print(f"{(ours == padded).all(1).sum()} of {len(ours)} texts equal, {(padded[:, -1] > 0).sum()} of them cut")
    return {"digest": hashlib.sha256(padded.tobytes()).hexdigest(), "first": expected[:10]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bpe", type=Path)
    parser.add_argument("--published", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.published:
        image = {"dim": 768, "depth": 12, "num_heads": 12, "embedding": 512, "patch": (32, 32), "positions": (7, 7)}
        text = {"vocabulary": 49408, "length": 77, "dim": 512, "depth": 12, "num_heads": 8, "embedding": 512}
        _, peer = compare(image, text, 224, Tokenizer(args.bpe)(["a cat", "two people shaking hands"], 77))
        safetensors.torch.save_file({name: x.contiguous() for name, x in peer.state_dict().items()}, args.published)
        return
    golden = compare(IMAGE, TEXT, 32, TOKENS)[0] | {"tokens": compare_tokens(args.bpe)}
    versions = {x.__name__: x.__version__ for x in (torch, transformers)}
    path = Path(__file__).with_name("clip.json")
    path.write_text(json.dumps(versions | golden) + "\n")
    print(path)


if __name__ == "__main__":
    main()
