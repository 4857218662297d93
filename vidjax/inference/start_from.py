"""Initialises a run from trained networks: `init_from` of a config."""

import re

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from vidjax import flow, step
from vidjax.inference.embedding import encoder_of
from vidjax.inference.restore import Trained, classifier_paths, load
from vidjax.models.videomae_pretrain import VideoMAEPretrain
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
    """Copies the parameters and statistics of trained networks into a fresh state.

    If the classes and their order are equal (for a file of weights: if their number is equal), everything is copied.
    Otherwise the classifier, the parameters whose shape depends on the number of classes, stays randomly initialised. A
    model that contains a network, as `backbone` (`frame_pool`, `frame_rnn`) or `network` (`clip_rnn`), can start from
    that network alone; the rest stays randomly initialised. Of a pretraining, the encoder is copied. The streams of a
    two-stream model start from one network each, or both from the same one. The names of randomly initialised variables
    are printed.

    Args:
        source: a work directory, the name of published weights, or a weights file; for a two-stream model also two of
            them, spatial and temporal, separated by a comma.
        state: fresh state; gives the sharding of each array.
        batch: shapes of the model's inputs.
        labels: classes of the new task.
        inflation: how 2-D kernels become 3-D kernels, see `inflate.inflate`.

    Raises:
        ValueError: if the networks differ in anything else (lists the differences), or in how they normalise videos.
    """
    fresh = traverse_util.flatten_dict({"params": state.params, **state.model_state}, sep="/")
    whole = {path for path in fresh if not path.startswith("carry/")}
    heads = classifier_paths(model, batch, spec)
    streams = [name for name in ("spatial", "temporal") if name in state.params]
    names = source.split(",") if streams else [source]
    if len(names) > max(len(streams), 1):
        raise ValueError(f"init_from = {source!r} names {len(names)} networks for {len(streams)} streams.")
    networks = [load(name) for name in names]
    if not isinstance(model, VideoMAEPretrain):  # of a pretraining, the encoder
        networks = [encoder_of(network) for network in networks]
    if len(networks) == 1 and set(streams) <= set(networks[0].params):
        streams = []  # a two-stream network: copied as a whole
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
    if (fresh_paths := sorted(whole - set(taken))) and jax.process_index() == 0:
        print(f"init_from = {source}: randomly initialised: {', '.join(fresh_paths)}.")
    merged = {path: jax.device_put(taken.get(path, x), x.sharding) for path, x in fresh.items()}
    model_state = traverse_util.unflatten_dict(merged, sep="/")
    params = model_state.pop("params")
    ema = jax.tree.map(jnp.copy, params) if state.ema else {}
    return state.replace(params=params, model_state=model_state, ema=ema)


def check_normalised(pretrained: Trained, spec: Spec):
    """Raises a ValueError if a network with the same number of input channels normalises its videos differently."""
    theirs, ours = ({name: list(x[name]) for name in ("mean", "std")} for x in (pretrained.preprocess, spec))
    if theirs != ours and len(theirs["mean"]) == len(ours["mean"]):
        raise ValueError(f"that network was trained with config.preprocess = {theirs}; this config has {ours}.")


def _take(pretrained: Trained, fresh: inflate.Flat, heads: set[str], labels: list[str], inflation: str) -> inflate.Flat:
    """Returns the arrays to copy into `fresh`, whose paths `heads` depend on the number of classes."""
    loaded = traverse_util.flatten_dict({"params": pretrained.params, **pretrained.model_state}, sep="/")
    loaded = {path: x for path, x in loaded.items() if not path.startswith("carry/")}  # the state of other sequences
    inner = re.compile("[^/]*/(backbone|network)/")  # params/backbone/conv1/kernel
    found = next(filter(None, map(inner.match, fresh)), None)
    if found and not any(map(inner.match, loaded)):
        theirs = pretrained.classifier_paths()
        loaded = {path.replace("/", f"/{found[1]}/", 1): x for path, x in loaded.items() if path not in theirs}
        replaced = {path for path in fresh if not inner.match(path)}
    else:
        same = heads and pretrained.labels in (labels, list(numbered(len(labels))))
        replaced = set() if same else heads or pretrained.classifier_paths()
        if not pretrained.labels:  # published without its head: modules that it lacks altogether are new
            modules = {"/".join(path.split("/")[:2]) for path in loaded}
            replaced = replaced | {path for path in fresh if "/".join(path.split("/")[:2]) not in modules}
    kept = {path: x for path, x in fresh.items() if path not in replaced}
    loaded = {path: x for path, x in loaded.items() if path not in replaced}
    return inflate.inflate(loaded, kept, inflation)
