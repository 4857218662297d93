import pytest

from vidjax.models import MODELS, titles


def test_every_network_has_a_title():
    assert list(titles.TITLES) == list(MODELS)


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ({"name": "i3d"}, "I3D"),
        ({"name": "i3d", "width": 0.125, "dropout": 0.5}, "I3D (width 0.125)"),
        ({"name": "frame_pool", "backbone": None}, "Pooled frame features"),
        (
            {"name": "frame_rnn", "backbone": {"name": "resnet18", "width": 0.125}},
            "Recurrent network on ResNet-18 (width 0.125)",
        ),
        (
            {"name": "two_stream", "spatial": {"name": "i3d"}, "temporal": {"name": "i3d"}},
            "Two-stream network on I3D and I3D",
        ),
    ],
)
def test_titles_name_the_parts(model, title):
    assert titles.title_of(model) == title
