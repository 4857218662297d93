import io

import numpy as np
from matplotlib.figure import Figure

from vidjax.evaluation import one_shot_plots


def test_neighbours_stay_neighbours():
    """Three far groups, as rays from 0 with the cosine distance: t-SNE keeps them apart."""
    rng = np.random.default_rng(0)
    numbers = np.repeat([0, 1, 2], 12)
    embeddings = (np.eye(3)[numbers] + 0.01 * rng.random((36, 3))) * rng.uniform(1, 9, (36, 1))
    points = one_shot_plots.map_of(embeddings, "cosine")
    assert points.shape == (36, 2)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    same = numbers[:, None] == numbers
    assert apart[same].max() < apart[~same].min()
    assert one_shot_plots.map_of(embeddings[:4], "euclidean").shape == (4, 2)


def test_the_picture_has_the_classes_with_enough_examples(monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 3, 3, 3])  # class 2 has a single example
    embeddings = np.eye(4)[labels] + 0.01 * np.random.default_rng(0).random((10, 4))
    one_shot_plots.draw(io.BytesIO(), embeddings, labels, ["_wave", "$clap", "rare", "jump"])
    left, right = drawn[0].axes[:2]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["_wave", "$clap", "jump"]
    assert [len(group.get_offsets()) for group in left.collections] == [3, 3, 3]
    assert [text.get_text() for text in right.get_yticklabels()] == ["_wave", "$clap", "jump"]
    np.testing.assert_allclose(right.images[0].get_array(), np.eye(3))
    assert right.get_title() == "3 ways, 1 shot: 100.0% right"
