"""Opens the records of a trained run and makes its evaluator."""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from vidjax import sharding
from vidjax.data import label_scan, pipeline
from vidjax.evaluation.evaluator import Evaluator
from vidjax.inference import restore

VIEWS = ("num_views", "num_crops")


def make_evaluator(run: restore.Trained) -> Evaluator:
    """Returns the evaluator of a run; call it with `run.params` and `run.model_state`."""
    return Evaluator(run.model, run.config, run.mesh, sharding.shardings_of((run.params, run.model_state)))


def config_of_weights(run: restore.Trained, dataset: Path) -> ConfigDict:
    """Returns what the config of a run says, for published weights that classify videos: one clip per video."""
    config = ConfigDict({"dataset": str(dataset), "target": "clip", "test_splits": ("test",), "num_threads": 0})
    config.loss = {"name": "sigmoid" if run.multi_label else "softmax"}
    config.clip, config.preprocess, config.model = run.clip, run.preprocess, {"name": run.name}
    config.eval = {"num_views": 1, "num_crops": 1, "batch_size": 8 * run.mesh.size, "protocol": ""}
    return config


def views_of(run: restore.Trained, views: dict) -> dict:
    """Returns `num_views` and `num_crops`; those of the run replace None and missing values."""
    return {name: views.get(name) or run.config.eval[name] for name in VIEWS}


def open_run(run: restore.Trained, splits: Sequence[str]) -> pipeline.Records:
    """Opens splits of the records that a run was trained on.

    Raises:
        ValueError: if a split is unknown, labels do not fit the loss, or the records have changed since training.
    """
    source = pipeline.open_records(run.config.dataset, list(splits))
    check_inputs(run, source.info.inputs)
    if source.info.labels != [label.strip() for label in run.labels]:
        raise ValueError(
            f"{run.name} was trained with the classes {_listed(run.labels)}, but {run.config.dataset} now has "
            f"{_listed(source.info.labels)}. Evaluate it as other records: vidjax.evaluate --dataset "
            f"{run.config.dataset}."
        )
    label_scan.check(source, multi_label=run.multi_label, per_frame=run.config.get("target") == "frame")
    return source


def _listed(labels: Sequence[str]) -> str:
    return f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''} ({len(labels)})"


def check_inputs(run: restore.Trained, inputs: dict):
    """Raises a ValueError if records hold other inputs than the run was trained on."""
    names = ["prefix", "width", "layer", "source", "clip", "target", "scaler", "caption_length", "true_flow"]
    names += ["flow"] if run.config.get("flow") == "stored" else []
    there, trained_on = ([of.get(name) for name in names] for of in (inputs, run.inputs))
    if there != trained_on:
        raise ValueError(
            f"{run.name} was trained on records of {run.inputs}; these hold {inputs}. Use matching records."
        )
