"""Starts a run from a trained network: `init_from` of a config."""

import re

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from vidjax import flow, step
from vidjax.inference.restore import Trained, classifier_paths, load
from vidjax.preprocess import Spec
from vidjax.weights import inflate
from vidjax.weights.load import numbered


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


def _take(pretrained: Trained, fresh: inflate.Flat, heads: set[str], labels: list[str], inflation: str) -> inflate.Flat:
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
        same = heads and pretrained.labels in (labels, list(numbered(len(labels))))
        replaced = set() if same else heads or pretrained.classifier_paths()
    kept = {path: x for path, x in fresh.items() if path not in replaced}
    loaded = {path: x for path, x in loaded.items() if path not in replaced}
    return inflate.inflate(loaded, kept, inflation)
