"""Names of CLIP's two towers in transformers' CLIPModel and in open_clip, as tables of `transformer_names`.

A file holds both towers; the importer of one ignores the other's arrays.
"""

from vidjax.weights.files import Arrays
from vidjax.weights.transformer_names import blocks

HUB_BLOCK = {  # transformers
    "layer_norm1": "norm1",
    "self_attn.q_proj": "attention/query",
    "self_attn.k_proj": "attention/key",
    "self_attn.v_proj": "attention/value",
    "self_attn.out_proj": "attention/out",
    "layer_norm2": "norm2",
    "mlp.fc1": "mlp/fc1",
    "mlp.fc2": "mlp/fc2",
}
HUB_IMAGE = {
    "vision_model.embeddings.class_embedding": "positions/class_token",
    "vision_model.embeddings.position_embedding.weight": "positions/positions",
    "vision_model.embeddings.patch_embedding": "patches",
    "vision_model.pre_layrnorm": "norm_before",
    **blocks("vision_model.encoder.layers.", "", HUB_BLOCK),
    "vision_model.post_layernorm": "norm",
    "visual_projection": "projection",
}
HUB_TEXT = {
    "text_model.embeddings.token_embedding.weight": "tokens",
    "text_model.embeddings.position_embedding.weight": "positions",
    **blocks("text_model.encoder.layers.", "", HUB_BLOCK),
    "text_model.final_layer_norm": "norm",
    "text_projection": "projection",
    "logit_scale": "logit_scale",
}
OPEN_BLOCK = {  # open_clip, and OpenAI's own code
    "ln_1": "norm1",
    "attn.in_proj_weight": "attention/qkv/kernel",
    "attn.in_proj_bias": "attention/qkv/bias",
    "attn.out_proj": "attention/out",
    "ln_2": "norm2",
    "mlp.c_fc": "mlp/fc1",
    "mlp.c_proj": "mlp/fc2",
}
OPEN_IMAGE = {
    "visual.class_embedding": "positions/class_token",
    "visual.positional_embedding": "positions/positions",
    "visual.conv1": "patches",
    "visual.ln_pre": "norm_before",
    **blocks("visual.transformer.resblocks.", "", OPEN_BLOCK),
    "visual.ln_post": "norm",
    "visual.proj": "projection/kernel",
}
OPEN_TEXT = {
    "token_embedding.weight": "tokens",
    "positional_embedding": "positions",
    **blocks("transformer.resblocks.", "", OPEN_BLOCK),
    "ln_final": "norm",
    "text_projection": "projection/kernel",
    "logit_scale": "logit_scale",
}
COMPUTED = ("position_ids", "attn_mask", "input_resolution", "context_length", "vocab_size")  # not parameters


def is_computed(name: str) -> bool:
    """Whether an array follows from the architecture."""
    return name.rpartition(".")[2] in COMPUTED


def transposed(arrays: Arrays) -> Arrays:
    """Turns open_clip's projections, (in, out), into kernels of its other layers, (out, in); and back."""
    return {name: x.T if name in ("visual.proj", "text_projection") else x for name, x in arrays.items()}
