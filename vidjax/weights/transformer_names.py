"""Names of transformers in other libraries, as tables that are read in both directions.

A table maps their modules and arrays to ours. `{}` stands for a number, the same on both sides in order. The kind of an
array follows its module: `norm1.weight` is `norm1/scale`, `fc1.weight` is `fc1/kernel`, and `bn1.running_var` is
`bn1/var`. Arrays that belong to no layer, such as tables of positions, stand in a table with their full name. If
several of their names mean one of ours, the first is written.
"""

import re
from collections.abc import Mapping

Table = Mapping[str, str]


def blocks(prefix: str, ours: str, names: Table) -> Table:
    """Returns the names of numbered blocks."""
    return {f"{prefix}{{}}.{name}": f"{ours}block{{}}/{path}" for name, path in names.items()}


MLP = {"layernorm_before": "norm1", "layernorm_after": "norm2", "intermediate.dense": "mlp/fc1"}
MLP |= {"output.dense": "mlp/fc2", "attention.output.dense": "attention/out"}
SEPARATE = {f"attention.attention.{name}": f"attention/{name}" for name in ("query", "key", "value")}
BIASES = {f"attention.attention.{name[0]}_bias": f"attention/{name}/bias" for name in ("query", "value")}
VIDEOMAE_ENCODER = {
    "videomae.embeddings.patch_embeddings.projection": "encoder/patches",
    **blocks("videomae.encoder.layer.", "encoder/", SEPARATE | MLP),
    **blocks("videomae.encoder.layer.", "encoder/", BIASES),  # in files of version 4
}
# transformers' VideoMAEForVideoClassification
VIDEOMAE = {**VIDEOMAE_ENCODER, "fc_norm": "norm", "classifier": "classifier"}
VIDEOMAE_PRETRAIN = {  # transformers' VideoMAEForPreTraining
    **VIDEOMAE_ENCODER,
    "videomae.layernorm": "encoder_norm",
    "encoder_to_decoder": "decoder/embed",
    "mask_token": "decoder/mask_token",
    **blocks("decoder.decoder_layers.", "decoder/", SEPARATE | MLP),
    **blocks("decoder.decoder_layers.", "decoder/", BIASES),
    "decoder.norm": "decoder/norm",
    "decoder.head": "decoder/pixels",
}
TIMESFORMER = {  # transformers' TimesformerForVideoClassification
    "timesformer.embeddings.cls_token": "positions/class_token",
    "timesformer.embeddings.position_embeddings": "positions/positions",
    "timesformer.embeddings.time_embeddings": "time_positions",
    "timesformer.embeddings.patch_embeddings.projection": "patches",
    **blocks("timesformer.encoder.layer.", "", MLP | {"attention.attention.qkv": "attention/qkv"}),
    **blocks(
        "timesformer.encoder.layer.",
        "",
        {
            "temporal_layernorm": "time_norm",
            "temporal_attention.attention.qkv": "time_attention/qkv",
            "temporal_attention.output.dense": "time_attention/out",
            "temporal_dense": "time_out",
        },
    ),
    "timesformer.layernorm": "norm",
    "classifier": "classifier",
}
VIVIT = {  # transformers' VivitForVideoClassification, version 5, and after it the blocks of files of version 4
    "vivit.embeddings.cls_token": "positions/class_token",
    "vivit.embeddings.position_embeddings": "positions/positions",
    "vivit.embeddings.patch_embeddings.projection": "patches",
    **blocks(
        "vivit.layers.",
        "",
        {
            "layernorm_before": "norm1",
            "attention.q_proj": "attention/query",
            "attention.k_proj": "attention/key",
            "attention.v_proj": "attention/value",
            "attention.o_proj": "attention/out",
            "layernorm_after": "norm2",
            "mlp.fc1": "mlp/fc1",
            "mlp.fc2": "mlp/fc2",
        },
    ),
    **blocks("vivit.encoder.layer.", "", SEPARATE | MLP),
    "vivit.layernorm": "norm",
    "classifier": "classifier",
}
VIT = {  # torchvision's vit_b_16
    "class_token": "positions/class_token",
    "encoder.pos_embedding": "positions/positions",
    "conv_proj": "patches",
    **blocks(
        "encoder.layers.encoder_layer_",
        "",
        {
            "ln_1": "norm1",
            "self_attention.in_proj_weight": "attention/qkv/kernel",
            "self_attention.in_proj_bias": "attention/qkv/bias",
            "self_attention.out_proj": "attention/out",
            "ln_2": "norm2",
            "mlp.0": "mlp/fc1",
            "mlp.3": "mlp/fc2",
        },
    ),
    "encoder.ln": "norm",
    "heads.head": "classifier",
}

SWIN = {  # torchvision's swin3d_t, swin3d_s and swin3d_b
    "patch_embed.proj": "patches",
    "patch_embed.norm": "patch_norm",
    **{
        f"features.{2 * stage}.{{}}.{name}": f"stage{stage}_block{{}}/{path}"
        for stage in range(4)
        for name, path in {
            "norm1": "norm1",
            "attn.qkv": "attention/qkv",
            "attn.proj": "attention/out",
            "attn.relative_position_bias_table": "relative_positions",
            "norm2": "norm2",
            "mlp.0": "mlp/fc1",
            "mlp.3": "mlp/fc2",
        }.items()
    },
    **{f"features.{2 * i + 1}.reduction": f"merge{i}/reduction" for i in range(3)},
    **{f"features.{2 * i + 1}.norm": f"merge{i}/norm" for i in range(3)},
    "norm": "norm",
    "head": "classifier",
}
MVIT = {  # torchvision's mvit_v1_b and mvit_v2_s
    "conv_proj": "patches",
    "pos_encoding.class_token": "class_token",
    "pos_encoding.class_pos": "class_positions",
    "pos_encoding.spatial_pos": "space_positions",
    "pos_encoding.temporal_pos": "time_positions",
    **blocks(
        "blocks.",
        "",
        {
            "norm1": "norm1",
            "attn.qkv": "attention/qkv",
            "attn.project.0": "attention/out",
            "attn.rel_pos_h": "attention/height_positions",
            "attn.rel_pos_w": "attention/width_positions",
            "attn.rel_pos_t": "attention/time_positions",
            **{
                f"attn.pool_{name[0]}.{theirs}": f"attention/pool_{name}{ours}"
                for name in ("query", "key", "value")
                for theirs, ours in {"pool": "", "norm_act.0": "/norm"}.items()
            },
            "norm2": "norm2",
            "mlp.0": "mlp/fc1",
            "mlp.3": "mlp/fc2",
            "project": "widen",
        },
    ),
    "norm": "norm",
    "head.1": "classifier",
}


def _of_flax(modules: Table) -> Table:
    """Adds the kinds of arrays to modules of the VideoPrism package, which has its own norms and attention."""
    kinds = {}
    for name, path in modules.items():
        kernel = "scale" if name.endswith(("norm", "ln")) else "kernel" if name.endswith("linear") else "w"
        kinds[f"{name}/{kernel}"] = f"{path}/{'scale' if kernel == 'scale' else 'kernel'}"
        kinds[f"{name}/{'b' if kernel == 'w' else 'bias'}"] = f"{path}/bias"
    return kinds


PARTS = {"query": "query", "key": "key", "value": "value", "post": "out"}
VIDEOPRISM = {  # google-deepmind/videoprism, after `videoprism.unpack`
    "spatial_pos_emb/emb_var": "positions",
    "temporal_pos_emb/emb_var": "time_positions",
    "atten_pooler/pooling_attention_query": "pooler/query",
    "atten_pooler/pooling_attention/per_dim_scale/per_dim_scale": "pooler/head_scale",
    **_of_flax(
        {
            "patch_projection/linear": "patches",
            **{
                f"{theirs}_encoder/transformers_stack/x_layers_{{}}/{name}": f"{ours}block{{}}/{path}"
                for theirs, ours in (("spatial", ""), ("temporal", "time_"))
                for name, path in {
                    "layer_norm": "norm1",
                    **{f"self_attention/{part}": f"attention/{mine}" for part, mine in PARTS.items()},
                    "ff_layer/layer_norm": "norm2",
                    "ff_layer/ffn_layer1/linear": "mlp/fc1",
                    "ff_layer/ffn_layer2/linear": "mlp/fc2",
                }.items()
            },
            "spatial_ln": "space_norm",
            "temporal_ln": "norm",
            **{f"atten_pooler/pooling_attention/{part}": f"pooler/attention/{mine}" for part, mine in PARTS.items()},
            "atten_pooler/pooling_attention_layer_norm": "pooler/norm",
            "projection/linear": "classifier",
        }
    ),
}

KINDS = {"bias": "bias", "running_mean": "mean", "running_var": "var"}  # torch's, besides weights


def ours(name: str, table: Table) -> str:
    """blocks.3.norm1.weight -> block3/norm1/scale; a name that the table lacks is returned as it is."""
    return _ours(name, table) or name


def knows(name: str, table: Table) -> bool:
    """Whether a table has a name of theirs."""
    return _ours(name, table) is not None


def _ours(name: str, table: Table) -> str | None:
    if (found := _renamed(name, table)) is not None:
        return found
    module, _, kind = name.rpartition(".")
    if kind not in ("weight", *KINDS) or (found := _renamed(module, table)) is None:
        return None
    is_norm = re.search(r"norm|bn\d?$", found.rpartition("/")[2])
    return f"{found}/{KINDS.get(kind, 'scale' if is_norm else 'kernel')}"


def theirs(path: str, table: Table) -> str:
    """block3/norm1/scale -> blocks.3.norm1.weight; the inverse of `ours`."""
    backwards = {mine: name for name, mine in reversed(table.items())}
    module, _, kind = path.rpartition("/")
    kinds = {"kernel": "weight", "scale": "weight"} | {ours: theirs for theirs, ours in KINDS.items()}
    if kind in kinds and (found := _renamed(module, backwards)) is not None:
        return f"{found}.{kinds[kind]}"
    return _renamed(path, backwards)


def _renamed(name: str, table: Table) -> str | None:
    for old, new in table.items():
        if match := re.fullmatch(re.escape(old).replace(r"\{\}", r"(\d+)"), name):
            return new.format(*match.groups())
    return None
