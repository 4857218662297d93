from configs.common import data
from vidjax.weights.table import WEIGHTS
from vidjax.weights.table.i3d import I3D_STREAMS


def test_labels_are_the_published_ones(shared_data):
    published = (shared_data / "i3d/label_map.txt").read_text().split("\n")[:400]
    assert list(I3D_STREAMS["i3d_kinetics400_rgb"].labels) == published
    assert I3D_STREAMS["pytorch_i3d_rgb_charades"].labels[-1] == "c156"


def test_charades_alone_has_several_labels_per_video():
    assert [name for name, entry in WEIGHTS.items() if entry.multi_label] == [
        "pytorch_i3d_rgb_charades",
        "pytorch_i3d_flow_charades",
    ]


def test_normalisation_is_that_of_the_configs():
    assert I3D_STREAMS["i3d_kinetics400_rgb"].preprocess == data.MINUS_ONE_TO_ONE
    assert I3D_STREAMS["kinetics_i3d_flow"].preprocess["flow"] == "tvl1"
