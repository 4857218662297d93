"""Writes videoprism.json: outputs of the authors' encoder and classifier, with parameters drawn by formula.py.

    python tests/peers/make_videoprism.py [--published]       needs vidjax, einshape and google-deepmind/videoprism

Compares ours on the way: the logits, the tokens, each block, and how far swapping two frames or two patches moves the
logits. With --published it compares the tokens of VideoPrism-B on 2 frames of 72x72; that writes nothing. Made at
commit d481d91b9bf8c9d330d1e526e511a359c799bbe1.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from formula import draw_tree, uniform
from videoprism import encoders

from vidjax import trees
from vidjax.export import torch_names
from vidjax.models import make_model
from vidjax.weights import importers, videoprism

SMALL = {"dim": 32, "depth": 3, "time_depth": 2, "num_heads": 4, "patch": (6, 6), "positions": (4, 3, 3)}
CASES = {  # the size of the tables of positions; more and larger frames; fewer and smaller ones
    "same": (4, 18, 18),
    "larger": (6, 30, 30),
    "smaller": (3, 12, 12),
}
NAMES = dict(torch_names.NAMES["videoprism"])


def compare(arguments: dict, shape: tuple[int, int, int], num_classes: int) -> dict[str, list]:
    """Prints the largest differences, as shares of the largest value; returns their outputs."""
    model, video = make_model("videoprism_b", num_classes, **arguments), uniform("video", (2, *shape, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), video)["params"]
    variables = {"params": draw_tree(shapes)}
    flat = traverse_util.flatten_dict(variables, sep="/")
    theirs = torch_names.to_torch(flat, importers.VIDEOPRISM._replace(pack=dict), NAMES[importers.VIDEOPRISM])
    theirs = videoprism.pack(theirs, model.dim // model.num_heads)
    theirs = jax.tree.map(jnp.asarray, traverse_util.unflatten_dict(theirs, sep="/"))  # they add to scales in place
    settings = {
        "patch_size": model.patch[0],
        "pos_emb_shape": model.positions,
        "model_dim": model.dim,
        "num_spatial_layers": model.depth,
        "num_temporal_layers": model.time_depth,
        "num_heads": model.num_heads,
        "mlp_dim": 4 * model.dim,
        "atten_logit_cap": 50.0,
        "scan": True,
    }
    peer = encoders.FactorizedVideoClassifier(encoder_params=settings, num_classes=num_classes)
    expected = jax.eval_shape(peer.init, jax.random.key(0), video)
    assert trees.shapes(expected) == trees.shapes(theirs)
    with jax.default_matmul_precision("highest"):
        logits, outputs = peer.apply(theirs, video, return_intermediate=True)
        # their blocks, from the same network without scan
        encoder = encoders.FactorizedEncoder(**{**settings, "scan": False})
        names = traverse_util.flatten_dict(theirs["params"]["encoder"], sep="/")
        apart = {}
        for name, x in names.items():
            pieces = enumerate(x) if "x_layers" in name else [("", x)]
            apart |= {name.replace("x_layers", f"x_layers_{i}"): piece for i, piece in pieces}
        apart = {"params": traverse_util.unflatten_dict(apart, sep="/")}
        _, blocks = encoder.apply(
            apart, video, capture_intermediates=lambda module, _: "x_layers" in (module.name or "")
        )
        apply = jax.jit(model.apply)
        ours, ends = apply(variables, video)
        patch, swapped = model.patch[0], video.copy()
        swapped[:, :, :patch, :patch], swapped[:, :, -patch:, -patch:] = (
            video[:, :, -patch:, -patch:],
            video[:, :, :patch, :patch],
        )
        moved = {"patches": apply(variables, swapped)[0]}
        moved["frames"] = apply(variables, video[:, [1, 0, *range(2, shape[0])]])[0]

    def difference(a, b):
        return f"{np.abs(a - b).max() / np.abs(b).max():.1e}"

    found = {"logits": difference(ours, logits)}
    found["tokens"] = difference(ends["tokens"], outputs["spatiotemporal_features"])
    for where, name, axes in (("spatial", "block", (0, 1, 2, 3)), ("temporal", "time_block", (0, 2, 3, 1))):
        for layer, out in blocks["intermediates"][f"{where}_encoder"]["transformers_stack"].items():
            x = np.asarray(ends[name + layer.rpartition("_")[2]]).transpose(*axes, 4)
            out = np.asarray(out["__call__"][0])
            found[name + layer.rpartition("_")[2]] = difference(x.reshape(out.shape), out)
    print(shape, found, {f"two {name} swapped": difference(x, logits) for name, x in moved.items()})
    return {
        "logits": np.asarray(logits, float).round(6).tolist(),
        "token": outputs["spatiotemporal_features"][1, -1, :8],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", action="store_true", help="compare at the published width; writes nothing")
    if parser.parse_args().published:
        compare({}, (2, 72, 72), 400)
        return
    golden = {name: compare(SMALL, shape, 5) for name, shape in CASES.items()}
    golden = {name: {**x, "token": np.asarray(x["token"], float).round(6).tolist()} for name, x in golden.items()}
    path = Path(__file__).with_name("videoprism.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
