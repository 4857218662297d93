"""Draws what embeddings know of classes: a map in two dimensions, and which classes a few examples confuse."""

import io
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vidjax import label_fonts
from vidjax.evaluation import one_shot
from vidjax.inference.embedding import Distance

MOST_CLASSES, MOST_VIDEOS = 20, 400
EPISODES = 200


def draw(
    path: Path | io.BytesIO,
    embeddings: np.ndarray,
    labels: np.ndarray,
    names: list[str],
    shots: int = 1,
    *,
    distance: Distance = "euclidean",
):
    """Draws a t-SNE map of the embeddings, and the confusion of episodes with all drawn classes.

    t-SNE (van der Maaten and Hinton, JMLR 2008) shows neighbourhoods; distances between groups mean nothing.

    Args:
        embeddings: (N, D); labels: int (N,), indices into `names`. Up to `MOST_CLASSES` classes that have more than
            `shots` examples are drawn.
    """
    classes, counts = np.unique(labels, return_counts=True)
    classes = classes[counts > shots][:MOST_CLASSES]
    rows = np.flatnonzero(np.isin(labels, classes))
    embeddings, numbers = embeddings[rows], np.searchsorted(classes, labels[rows])
    episodes = one_shot.draw_episodes(numbers, len(classes), shots, number=EPISODES)
    true, predicted = one_shot.predict(embeddings, numbers, episodes, distance)
    share = np.zeros((len(classes), len(classes)))
    np.add.at(share, (true, predicted), 1 / EPISODES)

    shown = label_fonts.shown([names[label] for label in classes])
    if shown.is_numbered and isinstance(path, Path):
        label_fonts.write_legend(path, [names[label] for label in classes])
    figure = Figure(figsize=(15, 7), layout="constrained")
    left, right = figure.subplots(1, 2)
    some = np.random.default_rng(0).permutation(len(rows))[:MOST_VIDEOS]
    points, colours = map_of(embeddings[some], distance), colormaps["tab10" if len(classes) <= 10 else "tab20"].colors
    for number in range(len(classes)):
        left.scatter(*points[numbers[some] == number].T, color=colours[number], s=16, label=str(number))
    shown.set_on(left.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False).get_texts())
    left.set(xticks=[], yticks=[], title=f"t-SNE of {len(some)} videos")
    image = right.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=right, label="share of the true class", fraction=0.046)
    title = f"{len(classes)} ways, {shots} shot{'s' * (shots > 1)}: {np.trace(share) / len(classes):.1%} right"
    right.set(xlabel="predicted", ylabel="true", title=title)
    right.set_xticks(range(len(classes)), shown.texts, rotation=45, ha="right", **shown.style)
    right.set_yticks(range(len(classes)), shown.texts, **shown.style)
    figure.savefig(path, dpi=110)


def map_of(embeddings: np.ndarray, distance: Distance) -> np.ndarray:
    """Returns a point in the plane for each embedding: (N, D) -> (N, 2).

    t-SNE by Euclidean distances, of unit vectors if the distance is cosine; PCA for fewer than 10 embeddings.
    """
    if distance == "cosine":
        embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    if len(embeddings) < 10:
        return PCA(2, random_state=0).fit_transform(embeddings)
    perplexity = min(30, len(embeddings) / 4)
    # The exact method is NumPy; the default one starts threads that stall for a minute on a busy machine
    return TSNE(2, perplexity=perplexity, method="exact", random_state=0, init="pca").fit_transform(embeddings)
