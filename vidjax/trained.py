"""A trained network with all that its use needs: from a work directory, or from the table of published weights."""

import dataclasses
import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vidjax import config as configs
from vidjax import flow, inflate, models, sharding, step, weights
from vidjax.checkpoint import Checkpoints
from vidjax.data import clips
from vidjax.preprocess import Spec


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, its parameters on a mesh, and how its inputs have to look.

    Attributes:
        name: of the weights, or the work directory with the step.
        model: the network; params, model_state: its variables.
        mesh: where they are.
        labels: class names, in the order of the logits.
        preprocess: the spec for `preprocess`.
        clip: `num_frames`, `frame_stride`, `size`, `resize`, `sampling`, `streams`.
        inputs: what the records that it was trained on hold, see `records.DatasetInfo`.
        multi_label: whether the classes are independent of each other (sigmoid) or exclusive (softmax).
        config: of the run; None for published weights.
        step: of the checkpoint; None for published weights.
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

    def classifier_paths(self) -> set[str]:
        """The variables of its classifier, none where it has none; see the function of that name."""
        if not self.labels:
            return set()
        if self.config:
            batch = clips.blank_batch(self.inputs, self.clip, 1)
        else:
            batch = {"video": np.zeros((1, 16, 64, 64, len(self.preprocess["mean"])), np.uint8)}
        return classifier_paths(self.model, batch, self.preprocess)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(..., K) -> (..., K): softmax, or sigmoid where classes are independent."""
        return np.asarray(jax.nn.sigmoid(logits) if self.multi_label else jax.nn.softmax(logits))


def from_run(workdir: Path, at_step: int | None = None) -> Trained:
    """Restores a run's last checkpoint, or that of a step; averaged parameters where the run kept some.

    Raises:
        ValueError: where there is no run, no such checkpoint, or it does not fit the config.
    """
    config, labels, inputs = configs.read(workdir)
    mesh = sharding.make_mesh(**config.mesh)
    model = configs.model_from(config, len(labels))
    clip, spec = configs.clip_of(config), configs.spec_of(config)
    batch = clips.blank_batch(inputs, clip, config.batch_size)  # of which a stateful model carries the state
    abstract = abstract_variables(model, batch, spec)
    shardings = sharding.state_shardings(mesh, abstract)
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    params, model_state, at_step = checkpoints.restore_model(*sharding.with_shardings(abstract, shardings), at_step)
    checkpoints.close()
    return Trained(
        name=f"{workdir}, step {at_step}",
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
    """Loads published weights by their name, fetched if need be, or a file of such. Errors as of `weights.load`."""
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
    )


def load(source: str) -> Trained:
    """`from_run` where `source` is a directory, else `from_weights`."""
    if Path(source).is_dir():
        return from_run(Path(source))
    return from_weights(source)


def abstract_variables(model: nn.Module, batch: dict, spec: Spec) -> tuple[dict, dict]:
    """Shapes and dtypes of the parameters and the model state; `batch` gives the shapes of the inputs."""
    return jax.eval_shape(functools.partial(step.init_variables, model=model, spec=spec), 0, batch)


# ------------------------------------------------------------------------------------------- starting from another's


def start_from(
    source: str,
    state: step.TrainState,
    *,
    model: nn.Module,
    batch: dict,
    spec: Spec,
    labels: list[str],
    inflation: str = "repeat",
) -> step.TrainState:
    """Puts the parameters and statistics of a trained network into a fresh state: `init_from` of a config.

    Where the classes are the same in the same order (or, of a file of weights, as many), all is taken over. Where they
    differ, the classifier stays as it was drawn: those parameters whose shape depends on the number of classes. A model
    that has another network inside, as its `backbone` (`frame_pool`, `frame_rnn`) or its `network` (`clip_rnn`), can
    start from that network alone; the rest stays as it was drawn. The two streams of a two-stream model start each from
    a network of its own, or both from one. What was drawn is printed.

    Args:
        source: a work directory, the name of published weights, or a file of such; for the spatial and the temporal
            stream of a two-stream model two, with a comma between.
        state: fresh; says where each array lives.
        batch: shapes of the inputs of the model.
        labels: of the new task.
        inflation: how the kernels of a 2-D network become those of a 3-D one, see `inflate.inflate`.

    Raises:
        ValueError: where anything else differs between the two networks (lists it), or they see their videos
            normalised in other ways.
    """
    fresh = traverse_util.flatten_dict({"params": state.params, **state.model_state}, sep="/")
    whole = {path for path in fresh if not path.startswith("carry/")}
    heads = classifier_paths(model, batch, spec)
    streams = [name for name in ("spatial", "temporal") if name in state.params]
    names = source.split(",") if streams else [source]
    if len(names) > max(len(streams), 1):
        raise ValueError(f"init_from = {source!r} names {len(names)} networks for {len(streams)} streams.")
    networks = [load(name) for name in names]
    if len(networks) == 1 and set(streams) <= set(networks[0].params):
        streams = []  # another model of two streams: all of it
    taken = {}
    for i, stream in enumerate(streams or [""]):
        place = f"/{stream}/" if stream else "/"  # params/spatial/conv1/kernel
        starts = re.compile(rf"\w+{place}")
        of_stream = {path.replace(place, "/", 1): fresh[path] for path in whole if starts.match(path)}
        of_heads = {path.replace(place, "/", 1) for path in heads if starts.match(path)}
        normalised = flow.NORMALISED if stream == "temporal" else spec
        network = networks[i % len(networks)]
        try:
            if "features" not in batch:
                check_normalised(network, normalised)
            found = _take(network, of_stream, of_heads, labels, inflation)
        except ValueError as error:
            raise ValueError(f"init_from = {source!r}: {error}") from None
        taken |= {path.replace("/", place, 1): x for path, x in found.items()}
    if (drawn := sorted(whole - set(taken))) and jax.process_index() == 0:
        print(f"init_from = {source}: drawn anew are {', '.join(drawn)}.")
    merged = {path: jax.device_put(taken.get(path, x), x.sharding) for path, x in fresh.items()}
    model_state = traverse_util.unflatten_dict(merged, sep="/")
    params = model_state.pop("params")
    ema = jax.tree.map(jnp.copy, params) if state.ema else {}
    return state.replace(params=params, model_state=model_state, ema=ema)


def check_normalised(pretrained: Trained, spec: Spec):
    """Raises a ValueError where a network saw videos of as many channels normalised in another way."""
    theirs, ours = ({name: list(x[name]) for name in ("mean", "std")} for x in (pretrained.preprocess, spec))
    if theirs != ours and len(theirs["mean"]) == len(ours["mean"]):
        raise ValueError(f"that network wants config.preprocess = {theirs}; this config has {ours}.")


def _take(
    pretrained: Trained, fresh: inflate.Flat, heads: set[str], labels: list[str], inflation: str
) -> inflate.Flat:
    """What one network gives to another one, `fresh`, of which `heads` depends on the number of classes."""
    loaded = traverse_util.flatten_dict({"params": pretrained.params, **pretrained.model_state}, sep="/")
    loaded = {path: x for path, x in loaded.items() if not path.startswith("carry/")}  # of other sequences
    inner = re.compile("[^/]*/(backbone|network)/")  # params/backbone/conv1/kernel
    found = next(filter(None, map(inner.match, fresh)), None)
    if found and not any(map(inner.match, loaded)):
        theirs = pretrained.classifier_paths()
        loaded = {path.replace("/", f"/{found[1]}/", 1): x for path, x in loaded.items() if path not in theirs}
        replaced = {path for path in fresh if not inner.match(path)}
    else:
        same = heads and pretrained.labels in (labels, list(weights.numbered(len(labels))))
        replaced = set() if same else heads or pretrained.classifier_paths()
    kept = {path: x for path, x in fresh.items() if path not in replaced}
    loaded = {path: x for path, x in loaded.items() if path not in replaced}
    return inflate.inflate(loaded, kept, inflation)


def classifier_paths(model: nn.Module, batch: dict, spec: Spec) -> set[str]:
    """The variables whose shape depends on the number of classes, as `params/Logits/Conv3d_0c_1x1/conv_3d/kernel`."""

    def shapes(network):
        params, model_state = abstract_variables(network, batch, spec)
        return traverse_util.flatten_dict({"params": params, **model_state}, sep="/")

    one, other = shapes(model), shapes(model.clone(num_classes=model.num_classes + 1))
    return {path for path, x in one.items() if x.shape != other[path].shape}
