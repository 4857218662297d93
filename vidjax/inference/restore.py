"""Loads trained networks, from a work directory or from published weights.

A network of optical flow that is loaded can be a method of `vidjax.flow`, inside another network: see `find_flow`.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import config_checks, models, sharding, step
from vidjax.best_checkpoint import open_best_or_last
from vidjax.data import clips, flow_images
from vidjax.preprocess import Spec, preprocess
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
        network: name of the model in `models.MODELS`.
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
    network: str = ""
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
    clip, spec = configs.clip_of(config), spec_of(config)
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
        network=config.model.name,
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
        network=entry.model["name"],
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


# --------------------------------------------------------------------------------------------------------- optical flow


def spec_of(config: ConfigDict) -> Spec:
    """`configs.spec_of`, with the method of optical flow loaded if it is a network. Errors: see `find_flow`."""
    spec = configs.spec_of(config)
    if spec.get("flow") in models.FLOW_NETWORKS:
        spec["flow"] = find_flow(spec["flow"], config.flow_weights)
    return spec


def find_flow(network: str, weights: str, options: tuple[str, str] = config_checks.FLOW_OPTIONS) -> "LearnedFlow":
    """Loads a network of optical flow as a method.

    Args:
        network: a name in `models.FLOW_NETWORKS`.
        weights: its weights, see `load`.
        options: what error messages call the two, see `config_checks.check_flow_weights`.

    Raises:
        ValueError: if there are no weights, they cannot be loaded, or they are those of another network.
    """
    config_checks.check_flow_weights(network, weights, options)
    _load_flow(network, weights)
    return LearnedFlow(network, weights)


def stored_flow(inputs: dict) -> flow_images.Method:
    """The method of the flow that records store; `inputs` is that of `DatasetInfo`. Errors: see `find_flow`."""
    weights = inputs.get("flow_weights")
    return find_flow(inputs["flow"], weights) if weights else inputs["flow"]


@dataclasses.dataclass(frozen=True)
class LearnedFlow:
    """A trained network as a method of optical flow: a function of frames, see `flow.of_video`.

    It is two names, so it can be sent to another process; every process loads the parameters once.

    Attributes:
        network: a name in `models.FLOW_NETWORKS`; weights: see `load`.
    """

    network: str
    weights: str

    def __call__(self, video: jax.Array) -> jax.Array:
        """RGB frames (..., T, H, W, 3), 0..255 -> flow (..., T - 1, H, W, 2), pixels per frame."""
        apply, variables = _load_flow(self.network, self.weights)
        return apply(variables, video)

    def __str__(self) -> str:
        return self.network

    def variables(self) -> dict:
        """Returns the parameters and the model state."""
        return _load_flow(self.network, self.weights)[1]


@functools.cache
def _load_flow(network: str, weights: str) -> tuple[Callable, dict]:
    """Returns the jitted (variables, video) -> flow, and the variables."""
    trained = load(weights)
    if trained.network != network:
        raise ValueError(f"{weights} holds the network {trained.network}, not {network}.")
    variables = {"params": trained.params, **trained.model_state}
    variables = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), variables)  # part of programs on any mesh

    @jax.jit
    def apply(variables, video):
        frames = preprocess({"video": video.reshape(-1, *video.shape[-4:])}, trained.preprocess, trained.model.dtype)
        found, _ = trained.model.apply(variables, frames["video"])
        return found.reshape(*video.shape[:-4], *found.shape[1:])

    return apply, variables
