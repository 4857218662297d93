import pytest

from vidjax.weights import flow_names, transformer_names


@pytest.mark.parametrize(
    ("table", "theirs", "ours"),
    [
        (flow_names.RAFT, "feature_encoder.layer2.0.downsample.0.weight", "features/layer2_0/conv_shortcut/kernel"),
        (flow_names.RAFT, "update_block.recurrent_block.convgru1.convz.bias", "update/gru1/z/bias"),
        (flow_names.FLOWNET, "conv3_1.0.weight", "conv3_1/kernel"),
        (flow_names.FLOWNET, "upsampled_flow6_to_5.weight", "upsampled_flow6_to_5/kernel"),
        (flow_names.SPYNET, "netBasic.2.netBasic.4.bias", "level2/conv3/bias"),
        (flow_names.SPYNET, "moduleBasic.2.moduleBasic.4.bias", "level2/conv3/bias"),
    ],
)
def test_names_of_layers(table, theirs, ours):
    assert transformer_names.ours(theirs, table) == ours


def test_counters_of_batch_norm_are_told_apart():
    assert flow_names.is_counter("context_encoder.layer1.0.convnormrelu1.1.num_batches_tracked")
    assert not flow_names.is_counter("context_encoder.layer1.0.convnormrelu1.1.running_mean")
