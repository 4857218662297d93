"""Classes given in words: the embeddings of texts become the kernel of a classifier (CLIP, VideoPrism-LvT)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from vidjax import sharding
from vidjax.inference import restore
from vidjax.models.clip import unit
from vidjax.weights import load as weights
from vidjax.weights.downloads import fetch

PLACE, TEMPLATE = "{}", "a video of {}."
AT_ONCE = 64  # texts per call, so that there is one shape to compile


class TextTower:
    """The text tower of published weights.

    Args:
        source: name of the weights, or a file.
        tokenizer: see the `reader` in `weights.table.Text`; None for the published one, which is downloaded.

    Raises:
        ValueError: if the weights have no text tower, or the tokenizer does not belong to it.
    """

    def __init__(self, source: str, tokenizer: Path | None = None):
        self.name = source
        entry, params = weights.load_text(source)
        self.model, self._params = entry.text.tower(**entry.text.sizes), params
        self.tokenizer = entry.text.reader(tokenizer or fetch(entry.text.tokenizer))
        if self.tokenizer.size != self.model.vocabulary:
            raise ValueError(
                f"{self.tokenizer.path} has {self.tokenizer.size} tokens, but the text tower of {source} knows "
                f"{self.model.vocabulary}: give the tokenizer of these weights."
            )
        self._apply = jax.jit(self.model.apply)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the embeddings of texts, of length 1: float32 (N, E)."""
        tokens, found = self.tokenizer(texts, self.model.length), []
        for start in range(0, len(tokens), AT_ONCE):
            group = np.minimum(np.arange(start, start + AT_ONCE), len(tokens) - 1)  # pads with the last text
            found.append(np.asarray(unit(self._apply({"params": self._params}, tokens[group])[0])))
        return np.concatenate(found)[: len(tokens)]

    @property
    def scale(self) -> float:
        """The factor of the products of embeddings: they become logits."""
        tokens = np.zeros((1, self.model.length), np.int32)
        return float(jax.jit(lambda params: self.model.apply({"params": params}, tokens)[1])(self._params))


def read_templates(path: Path) -> list[str]:
    """Reads a template per line, each with a place {} for the class. Errors: see `check_templates`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--templates {path} cannot be read: {error}") from None
    templates = [line.strip() for line in lines if line.strip()]
    check_templates(templates, str(path))
    return templates


def check_templates(templates: Sequence[str], source: str):
    """Raises a ValueError for an empty list, or a template without exactly one place for the class."""
    if not templates:
        raise ValueError(f"{source} holds no template: write one per line, such as {TEMPLATE!r}.")
    if wrong := next((template for template in templates if template.count(PLACE) != 1), None):
        raise ValueError(f"The template {wrong!r} needs one place for the class, {PLACE}, such as {TEMPLATE!r}.")


def spoken(label: str) -> str:
    """A class name as words: shake_hands -> shake hands."""
    return " ".join(label.replace("_", " ").split())


def class_embeddings(tower: TextTower, classes: Sequence[str], templates: Sequence[str] = (TEMPLATE,)) -> np.ndarray:
    """Returns the embedding of each class: the mean over the templates, of length 1, float32 (K, E).

    Raises:
        ValueError: for no classes, a class without words, a class that is given twice, or a wrong template.
    """
    check_templates(templates, "The list of templates")
    if not classes:
        raise ValueError("The list of classes is empty: give one or more.")
    words = [spoken(name) for name in classes]
    if empty := [name for name, text in zip(classes, words, strict=True) if not text]:
        raise ValueError(f"The class {empty[0]!r} has no words.")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise ValueError(f"The class {twice!r} is given twice.")
    texts = [template.replace(PLACE, text) for text in words for template in templates]
    embeddings = tower(texts).reshape(len(classes), len(templates), -1)  # (K, templates, E)
    return np.asarray(unit(embeddings.mean(1)))


def with_classes(
    run: restore.Trained,
    classes: Sequence[str],
    templates: Sequence[str] = (TEMPLATE,),
    tokenizer: Path | None = None,
) -> restore.Trained:
    """Returns an image tower as a classifier of these classes.

    Args:
        run: published weights that compare videos with texts.
        templates: texts with a place {} for the class.
        tokenizer: see `TextTower`.

    Raises:
        ValueError: if the network does not compare videos with texts; also the errors of `class_embeddings`.
    """
    if not run.text:
        known = ", ".join(name for name, entry in weights.WEIGHTS.items() if entry.text)
        raise ValueError(f"{run.name} does not compare videos with texts: choose one of {known}.")
    if run.labels:
        raise ValueError(f"{run.name} has classes of its own; classes in words need the published image tower.")
    tower = TextTower(run.name, tokenizer)
    kernel = tower.scale * class_embeddings(tower, classes, templates).T  # (E, K)
    kernel = jax.device_put(kernel, sharding.replicated(run.mesh))
    params = {**run.params, "classifier": {"kernel": kernel}}
    model = run.model.clone(num_classes=len(classes))
    return dataclasses.replace(run, model=model, params=params, labels=list(classes))
