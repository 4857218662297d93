import pytest

from vidjax.weights import convnet_names


@pytest.mark.parametrize(
    ("names", "theirs", "ours"),
    [
        (convnet_names.resnet, "layer1.0.downsample.1.running_var", "layer1_0/downsample_bn/var"),
        (convnet_names.resnet, "bn1.num_batches_tracked", None),
        (convnet_names.vgg16, "features.28.weight", "conv5_3/kernel"),
        (convnet_names.alexnet, "classifier.6.bias", "fc3/bias"),
        (convnet_names.resnet, "some.other.name", "some/other/name"),
    ],
)
def test_names_of_layers(names, theirs, ours):
    assert names(theirs) == ours


def test_the_published_file_of_keras_has_older_names():
    names = {"block4_conv2/block4_conv2_W_1:0": "conv4_2/kernel", "block4_conv2/block4_conv2_b_1:0": "conv4_2/bias"}
    names |= {"fc2/fc2_W_1:0": "fc2/kernel", "predictions/predictions_b_1:0": "fc3/bias"}
    assert {name: convnet_names.keras_vgg16(name) for name in names} == names
