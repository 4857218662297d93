"""Names of parameters in pytorchvideo, the authors' TSM and MMAction2, and ours."""

import pytest

from vidjax.weights import video_names
from vidjax.weights.transformer_names import ours, theirs


@pytest.mark.parametrize(
    ("table", "name", "path"),
    [
        ("X3D", "blocks.0.conv.conv_t.weight", "stem_space/kernel"),  # theirs are swapped
        ("X3D", "blocks.3.res_blocks.10.branch2.norm_b.1.block.0.bias", "stage3_10/squeeze/reduce/bias"),
        ("X3D", "blocks.5.proj.weight", "classifier/kernel"),
        ("SLOW_ONLY", "blocks.2.res_blocks.3.branch2.conv_a.weight", "layer2_3/conv1/kernel"),
        ("SLOW_ONLY", "blocks.1.res_blocks.0.branch1_norm.running_var", "layer1_0/downsample_bn/var"),
        ("SLOWFAST", "blocks.4.multipathway_blocks.1.res_blocks.2.branch2.conv_c.weight", "fast_layer4_2/conv3/kernel"),
        ("SLOWFAST", "blocks.0.multipathway_fusion.conv_fast_to_slow.weight", "stem_to_slow/kernel"),
        ("SLOWFAST", "blocks.3.multipathway_fusion.norm.running_mean", "layer3_to_slow_bn/mean"),
        ("TSM", "base_model.layer1.0.conv1.net.weight", "layer1_0/conv1/kernel"),
        ("TSM", "base_model.layer4.2.conv2.weight", "layer4_2/conv2/kernel"),  # only the first one is shifted
        ("MMACTION_TSM", "backbone.layer1.0.conv1.conv.net.weight", "layer1_0/conv1/kernel"),
        ("MMACTION_TSM", "backbone.layer2.0.downsample.bn.weight", "layer2_0/downsample_bn/scale"),
    ],
)
def test_names_in_both_directions(table, name, path):
    table = getattr(video_names, table)
    assert ours(name, table) == path
    assert theirs(path, table) == name


def test_a_classifier_without_dropout_is_read_and_the_name_with_dropout_written():
    assert ours("base_model.fc.weight", video_names.TSM) == "fc/kernel"
    assert theirs("fc/kernel", video_names.TSM) == "new_fc.weight"
