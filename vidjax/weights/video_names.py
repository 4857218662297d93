"""Names of X3D, SlowFast, SlowOnly and TSM in other libraries; `transformer_names` says how a table is read."""

from vidjax.weights.transformer_names import Table

STAGES, LETTERS = range(1, 5), {"a": "1", "b": "2", "c": "3"}


def _residual(prefix: str, ours: str, names: Table) -> Table:
    """Returns the names of numbered blocks in four stages: `{}` of a prefix is the stage."""
    return {
        f"{prefix.format(stage)}.{{}}.{name}": f"{ours}{stage}_{{}}/{path}"
        for stage in STAGES
        for name, path in names.items()
    }


# ----------------------------------------------------------------------------------------------------- pytorchvideo

BRANCHES = {
    "branch1_conv": "downsample_conv",
    "branch1_norm": "downsample_bn",
    **{f"branch2.conv_{letter}": f"conv{number}" for letter, number in LETTERS.items()},
    **{f"branch2.norm_{letter}": f"bn{number}" for letter, number in LETTERS.items()},
}
SLOW_ONLY = {  # create_resnet with a depth of 50
    "blocks.0.conv": "conv1",
    "blocks.0.norm": "bn1",
    **_residual("blocks.{}.res_blocks", "layer", BRANCHES),
    "blocks.5.proj": "fc",
}
SLOWFAST = {"blocks.6.proj": "fc"}  # create_slowfast
for number, path in enumerate(("slow", "fast")):
    SLOWFAST |= {
        f"blocks.0.multipathway_blocks.{number}.conv": f"{path}_conv1",
        f"blocks.0.multipathway_blocks.{number}.norm": f"{path}_bn1",
        **_residual(f"blocks.{{}}.multipathway_blocks.{number}.res_blocks", f"{path}_layer", BRANCHES),
    }
for number, layer in enumerate(("stem", "layer1", "layer2", "layer3")):
    SLOWFAST |= {
        f"blocks.{number}.multipathway_fusion.conv_fast_to_slow": f"{layer}_to_slow",
        f"blocks.{number}.multipathway_fusion.norm": f"{layer}_to_slow_bn",
    }
X3D = {  # create_x3d
    "blocks.0.conv.conv_t": "stem_space",  # their names of the two are swapped
    "blocks.0.conv.conv_xy": "stem_time",
    "blocks.0.norm": "stem_norm",
    **_residual(
        "blocks.{}.res_blocks",
        "stage",
        {
            "branch1_conv": "shortcut",
            "branch1_norm": "shortcut_norm",
            "branch2.conv_a": "conv1",
            "branch2.norm_a": "norm1",
            "branch2.conv_b": "depthwise",
            "branch2.norm_b.0": "norm2",
            "branch2.norm_b.1.block.0": "squeeze/reduce",
            "branch2.norm_b.1.block.2": "squeeze/expand",
            "branch2.conv_c": "conv3",
            "branch2.norm_c": "norm3",
        },
    ),
    "blocks.5.pool.pre_conv": "head",
    "blocks.5.pool.pre_norm": "head_norm",
    "blocks.5.pool.post_conv": "hidden_layer",
    "blocks.5.proj": "classifier",
}

# -------------------------------------------------------------------------------------------------------------- TSM

NUMBERS = {name: name for name in ("conv2", "bn2", "conv3", "bn3", "bn1")}
TSM = {  # mit-han-lab/temporal-shift-module: torchvision's ResNets, the shifted convolutions in a wrapper
    "base_model.conv1": "conv1",
    "base_model.bn1": "bn1",
    **_residual(
        "base_model.layer{}",
        "layer",
        {"conv1.net": "conv1", **NUMBERS, "downsample.0": "downsample_conv", "downsample.1": "downsample_bn"},
    ),
    "new_fc": "fc",
    "base_model.fc": "fc",  # trained without dropout
}
MMACTION_TSM = {  # MMAction2's Recognizer2D with a ResNetTSM and a TSMHead
    "backbone.conv1.conv": "conv1",
    "backbone.conv1.bn": "bn1",
    **_residual(
        "backbone.layer{}",
        "layer",
        {
            "conv1.conv.net": "conv1",
            **{f"conv{number}.conv": f"conv{number}" for number in "23"},
            **{f"conv{number}.bn": f"bn{number}" for number in "123"},
            "downsample.conv": "downsample_conv",
            "downsample.bn": "downsample_bn",
        },
    ),
    "cls_head.fc_cls": "fc",
}
