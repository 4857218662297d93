"""The arrays of VideoPrism's files, one by one and shaped as ours: stacked over the layers -> per layer, and back.

github.com/google-deepmind/videoprism, encoders.py and layers.py. The names are those of the authors' code without
`scan`: x_layers_0, x_layers_1, ... A norm's scale is stored minus 1, a head has an axis of its own. Files of the
video-text network hold two towers, whose names are here; those of the encoder are in `transformer_names`.
"""

import math

import numpy as np

from vidjax.weights.files import Arrays
from vidjax.weights.transformer_names import VIDEOPRISM

STACKED, HEAD = "/x_layers/", ("atten_pooler", "projection")
SPACE, POOLER, PATCHES = "spatial_encoder/transformers_stack", "atten_pooler", "patch_projection/linear/kernel"
OF_SPACE = {name.removeprefix(SPACE): path for name, path in VIDEOPRISM.items() if name.startswith(SPACE)}
LVT_VIDEO = {
    **{f"vision_encoder/{name}": f"encoder/{path}" for name, path in VIDEOPRISM.items() if not name.startswith(HEAD)},
    **{f"auxiliary_encoder/transformers_stack{name}": f"joint_{path}" for name, path in OF_SPACE.items()},
    **{
        name.replace(POOLER, "contrastive_vision_pooler"): path
        for name, path in VIDEOPRISM.items()
        if name.startswith(POOLER)
    },
}
LVT_TEXT = {
    "text_encoder/token_emb/emb_var": "tokens",
    "text_encoder/cls_emb": "class_token",
    **{f"text_encoder/unimodal_transformer{name}": path for name, path in OF_SPACE.items()},
    "text_encoder/unimodal_ln/scale": "norm/scale",
    "text_encoder/unimodal_ln/bias": "norm/bias",
}


def unpack(arrays: Arrays) -> Arrays:
    """Their arrays -> those of each layer, shaped as ours; without the prefixes `params/` and `encoder/`."""
    found = {}
    for name, x in arrays.items():
        name = name.removeprefix("params/").removeprefix("encoder/")
        if STACKED in name and x.ndim:
            found |= {name.replace(STACKED, f"/x_layers_{i}/"): _ours(name, piece) for i, piece in enumerate(x)}
        else:
            found[name] = _ours(name, x)
    return found


def pack(arrays: Arrays, head_width: int = 64) -> Arrays:
    """The inverse of `unpack`, with all its prefixes; 64 is the width of a head in the published networks.

    The heads of a pooler are as wide as its scales.
    """
    encoder = "params/encoder/" if any(name.startswith(HEAD) for name in arrays) else "params/"
    found, layers = {}, {}

    def width_of(name: str) -> int:
        scales = arrays.get(f"{name.rsplit('/', 2)[0]}/per_dim_scale/per_dim_scale")
        return head_width if scales is None else len(scales)

    for name, x in arrays.items():
        full, x = ("params/" if name.startswith(HEAD) else encoder) + name, _theirs(name, x, width_of(name))
        stack, layer, rest = full.partition("/x_layers_")
        number, _, rest = rest.partition("/")
        if layer:
            layers.setdefault(f"{stack}{STACKED}{rest}", {})[int(number)] = x
        else:
            found[full] = x
    return found | {name: np.stack([pieces[i] for i in sorted(pieces)]) for name, pieces in layers.items()}


def _ours(name: str, x: np.ndarray) -> np.ndarray:
    if name.endswith("/scale"):
        return x + np.float32(1)
    if name.endswith("/post/w") and x.ndim == 3:  # (outputs, heads, width) -> (inputs, outputs)
        return x.reshape(len(x), -1).T
    if name.endswith("/w") and x.ndim == 3:  # (inputs, heads, width)
        return x.reshape(len(x), -1)
    if name.endswith("/b"):
        return x.reshape(-1)
    if name.endswith(PATCHES) and x.ndim == 2 and len(x) % 3 == 0:
        side = math.isqrt(len(x) // 3)
        return x.reshape(side, -1, 3, x.shape[-1])
    return x


def _theirs(name: str, x: np.ndarray, head_width: int) -> np.ndarray:
    if name.endswith("/scale"):
        return x - np.float32(1)
    if name.endswith("/post/w"):
        return np.ascontiguousarray(x.T).reshape(x.shape[-1], -1, head_width)
    if name.endswith("/w"):
        return x.reshape(len(x), -1, head_width)
    if name.endswith("/b") and "/post/" not in name:
        return x.reshape(-1, head_width)
    if name.endswith("cls_emb"):
        return x.reshape(1, 1, -1)
    return x.reshape(-1, x.shape[-1]) if name.endswith(PATCHES) else x
