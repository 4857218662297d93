"""Writes videomae_pretrain.json: what transformers' VideoMAEForPreTraining computes, with parameters from formula.py.

    python tests/peers/make_videomae_pretrain.py             needs vidjax, torch and transformers

Compares ours on the way, with normalised targets and without, and shows that swapping two masked tokens is noticed.
Made with torch 2.14.1 and transformers 5.24.0.
"""

import json
from pathlib import Path

import jax
import numpy as np
import torch
import transformers
from formula import draw_tree, uniform
from from_torch import load_ours

from vidjax.export.torch_names import NAMES
from vidjax.models import make_model
from vidjax.weights import importers

SIZES = {"dim": 32, "depth": 3, "num_heads": 4, "patch": (2, 8, 8)}
DECODER = {"decoder_dim": 16, "decoder_depth": 2, "decoder_heads": 2}
SHAPE, VISIBLE = (6, 32, 32), (1, 4, 14)  # visible places among the 16 of a frame
IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def theirs(model) -> torch.nn.Module:
    config = transformers.VideoMAEConfig(
        image_size=SHAPE[1:],
        num_frames=SHAPE[0],
        patch_size=model.patch[1],
        tubelet_size=model.patch[0],
        hidden_size=model.dim,
        num_hidden_layers=model.depth,
        num_attention_heads=model.num_heads,
        intermediate_size=4 * model.dim,
        decoder_hidden_size=model.decoder_dim,
        decoder_num_hidden_layers=model.decoder_depth,
        decoder_num_attention_heads=model.decoder_heads,
        decoder_intermediate_size=4 * model.decoder_dim,
        use_mean_pooling=False,
        norm_pix_loss=model.normalised,
        attn_implementation="eager",
    )
    return transformers.VideoMAEForPreTraining(config).eval()


def difference(a, b) -> str:
    return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"


def compare(normalised: bool) -> dict:
    """Prints the largest differences, as shares of the largest value; returns their loss, encoding and prediction."""
    model = make_model("videomae_pretrain", **SIZES, **DECODER, normalised=normalised)
    video = uniform("video", (2, *SHAPE, 3))
    visible = np.tile([place + 16 * step for step in range(3) for place in VISIBLE], (2, 1))  # (B, K)
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)["params"]
    params = draw_tree(shapes)
    peer = theirs(model)
    name_of = next(f for of in NAMES.values() for layout, f in of if layout is importers.VIDEOMAE_PRETRAIN)
    load_ours(peer, {"params": params}, importers.VIDEOMAE_PRETRAIN, name_of)
    masked = np.ones((2, 48), bool)
    np.put_along_axis(masked, visible, False, axis=1)
    given = torch.from_numpy(video.transpose(0, 1, 4, 2, 3).copy())  # (B, T, C, H, W)
    with torch.no_grad():
        encoded = peer.videomae(given, torch.from_numpy(masked))[0].numpy()
        out = peer(given, torch.from_numpy(masked))
    loss, predicted = float(out.loss), out.logits.numpy()
    with jax.default_matmul_precision("highest"):
        errors, ends = jax.jit(lambda visible: model.apply({"params": params}, video, visible=visible))(visible)
    if not normalised:  # theirs are of frames in 0..1: undo the normalisation of the target
        mean, deviation = IMAGENET
        target = np.asarray(ends["target"]).reshape(2, 39, -1, 3) * deviation + mean
        errors = np.square(predicted.reshape(target.shape) - target).mean((2, 3))
    found = {"encoded": difference(np.asarray(ends["features"]), encoded)}
    found |= {"predicted": difference(np.asarray(ends["predicted"]), predicted)}
    swapped = np.asarray(ends["predicted"])[:, [1, 0, *range(2, 39)]]
    print(found, "loss", float(np.mean(errors)) / loss - 1, "two tokens swapped", difference(swapped, predicted))
    return {"loss": loss, "encoded": encoded.round(6).tolist(), "predicted": predicted[:, ::13].round(6).tolist()}


def main():
    compare(normalised=False)
    golden = compare(normalised=True)
    versions = {x.__name__: x.__version__ for x in (torch, transformers)}
    path = Path(__file__).with_name("videomae_pretrain.json")
    path.write_text(json.dumps(versions | golden) + "\n")
    print(path)


if __name__ == "__main__":
    main()
