"""Names of the networks of optical flow in other libraries, as tables of `transformer_names`."""


def _encoder(theirs: str, ours: str, units: dict[str, str]) -> dict[str, str]:
    """torchvision's names of an encoder. `units` are their names and ours of parts of convolutions with a norm."""
    places = {
        "convnormrelu": "{}1",
        "layer{{}}.{{}}.convnormrelu{{}}": "layer{{}}_{{}}/{}{{}}",
        "layer{{}}.{{}}.downsample": "layer{{}}_{{}}/{}_shortcut",
    }
    names = {f"{theirs}.conv": f"{ours}/out"}
    for their_place, our_place in places.items():
        for part, (kind, array) in units.items():
            name = f"{theirs}.{their_place.format()}.{part}"
            names[name] = f"{ours}/{our_place.format(kind)}{array}"
    return names


CONV = {"0": ("conv", "")}
NORM = {"1": ("norm", ""), "1.running_mean": ("norm", "/mean"), "1.running_var": ("norm", "/var")}
MOTION, GRU = "update_block.motion_encoder", "update_block.recurrent_block"
RAFT = {  # torchvision's raft_large and raft_small
    **_encoder("feature_encoder", "features", CONV),
    **_encoder("context_encoder", "context", CONV | NORM),
    f"{MOTION}.convcorr{{}}.0": "update/motion/correlation{}",
    f"{MOTION}.convflow{{}}.0": "update/motion/flow{}",
    f"{MOTION}.conv.0": "update/motion/joint",
    **{f"{GRU}.convgru{{}}.conv{gate}": f"update/gru{{}}/{gate}" for gate in "zrq"},
    "update_block.flow_head.conv{}": "update/head/conv{}",
    "mask_predictor.convrelu.0": "mask/conv1",
    "mask_predictor.conv": "mask/conv2",
}
FLOWNET = {  # FlowNetPytorch's FlowNetS and FlowNetC without batch norm
    "conv{}.0": "conv{}",
    "conv{}_1.0": "conv{}_1",
    "conv_redir.0": "conv_redir",
    "deconv{}.0": "deconv{}",
    "predict_flow{}": "predict_flow{}",
    "upsampled_flow{}_to_{}": "upsampled_flow{}_to_{}",
}
SPYNET = {  # pytorch-spynet's network, and after it the published files
    f"{prefix}Basic.{{}}.{prefix}Basic.{2 * i}": f"level{{}}/conv{i + 1}"
    for prefix in ("net", "module")
    for i in range(5)
}


def is_counter(name: str) -> bool:
    """Whether an array counts the batches of a BatchNorm, which Flax lacks."""
    return name.endswith("num_batches_tracked")
