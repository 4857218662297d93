"""Loads trained networks, from a work directory or from published weights."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import models, sharding, step
from vidjax.best_checkpoint import open_best_or_last
from vidjax.data import clips
from vidjax.preprocess import Spec
from vidjax.weights import load as weights
from vidjax.weights.table import Text


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, its parameters on a mesh, and the format of its inputs.

    Attributes:
        name: name of the weights, or work directory and step.
        model: the network; params, model_state: its variables.
        mesh: mesh that holds the variables.
        labels: class names, in the order of the logits.
        preprocess: the spec for `preprocess`.
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`, `streams`.
        inputs: contents of the training records, see `dataset_info.DatasetInfo`.
        multi_label: whether classes are independent (sigmoid) or exclusive (softmax).
        config: config of the run; None for published weights.
        step: step of the checkpoint; None for published weights.
        text: the tower for texts, of published weights that compare videos with texts.
    """

    name: str
    model: nn.Module
    params: dict
    model_state: dict
    mesh: Mesh
    labels: list[str]
    preprocess: Spec
    clip: dict
    inputs: dict
    multi_label: bool = False
    config: ConfigDict | None = None
    step: int | None = None
    text: Text | None = None

    def classifier_paths(self) -> set[str]:
        """Returns the paths of the classifier's variables, empty without a classifier; see the function."""
        if not self.labels:
            return set()
        if self.config:
            batch = clips.blank_batch(self.inputs, self.clip, 1)
        else:
            size = self.clip["size"]
            batch = {"video": np.zeros((1, 16, size, size, len(self.preprocess["mean"])), np.uint8)}
        return classifier_paths(self.model, batch, self.preprocess)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Converts logits (..., K) to probabilities (..., K): softmax, or sigmoid for independent classes."""
        return np.asarray(jax.nn.sigmoid(logits) if self.multi_label else jax.nn.softmax(logits))


def from_run(workdir: Path, at_step: int | None = None) -> Trained:
    """Restores the checkpoint of a run, or that of a step; averaged parameters if the run kept them.

    By default it is the last one, or the best one if the config says keep_best.

    Raises:
        ValueError: if the run or the checkpoint is missing, or the checkpoint does not fit the config.
    """
    config, labels, inputs = configs.read(workdir)
    mesh = sharding.make_mesh(**config.mesh)
    model = configs.model_from(config, len(labels))
    clip, spec = configs.clip_of(config), configs.spec_of(config)
    batch = clips.blank_batch(inputs, clip, config.batch_size)  # a stateful model's state has the batch size
    abstract = abstract_variables(model, batch, spec)
    shardings = sharding.state_shardings(mesh, abstract)
    checkpoints, note = open_best_or_last(workdir, config.get("keep_best", ""), at_step)
    params, model_state, at_step = checkpoints.restore_model(*sharding.with_shardings(abstract, shardings), at_step)
    checkpoints.close()
    return Trained(
        name=f"{workdir}, step {at_step}{note}",
        model=model,
        params=params,
        model_state=model_state,
        mesh=mesh,
        labels=labels,
        preprocess=spec,
        clip=clip,
        inputs=inputs,
        multi_label=config.loss.name == "sigmoid",
        config=config,
        step=at_step,
    )


def from_weights(source: str) -> Trained:
    """Loads published weights by name, downloading them if necessary, or from a file. Errors: see `weights.load`."""
    entry, variables = weights.load(source)
    model = models.make_model(num_classes=len(entry.labels), **entry.model)
    mesh = sharding.make_mesh()
    variables = jax.device_put(variables, sharding.replicated(mesh))
    params = variables.pop("params")
    return Trained(
        name=source,
        model=model,
        params=params,
        model_state=variables,
        mesh=mesh,
        labels=list(entry.labels),
        preprocess=entry.preprocess,
        clip=entry.clip,
        inputs=entry.inputs,
        multi_label=entry.multi_label,
        text=entry.text,
    )


def load(source: str) -> Trained:
    """Loads a run if `source` is a directory, else published weights."""
    if Path(source).is_dir():
        return from_run(Path(source))
    return from_weights(source)


def abstract_variables(model: nn.Module, batch: dict, spec: Spec) -> tuple[dict, dict]:
    """Returns shapes and dtypes of the parameters and the model state; `batch` gives the shapes of the inputs."""
    return jax.eval_shape(functools.partial(step.init_variables, model=model, spec=spec), 0, batch)


def classifier_paths(model: nn.Module, batch: dict, spec: Spec) -> set[str]:
    """Returns the variables whose shape depends on the number of classes, as paths like `params/fc/kernel`."""
    if not model.num_classes:
        return set()

    def shapes(network):
        params, model_state = abstract_variables(network, batch, spec)
        return traverse_util.flatten_dict({"params": params, **model_state}, sep="/")

    one, other = shapes(model), shapes(model.clone(num_classes=model.num_classes + 1))
    return {path for path, x in one.items() if x.shape != other[path].shape}
