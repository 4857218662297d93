"""Evaluates one run that classifies videos under every convention: the views, how they are pooled, and what counts.

Each number of views is computed once; the conventions that share it differ only in what is made of its logits.
"""

import itertools
from pathlib import Path

from vidjax import eval_protocols, losses
from vidjax.data import clips, dataset_info
from vidjax.eval_protocols import Protocol
from vidjax.evaluation import split_metrics
from vidjax.evaluation.run_outputs import make_evaluator, open_run
from vidjax.inference import restore

ONE_LABEL, SEVERAL_LABELS = ("top1", "top5"), ("mAP", "top1_verb", "top1_noun", "top1_action")


def conventions_of(workdir: Path) -> dict[str, dict[str, float]]:
    """Returns the metrics of a run on its test splits: convention -> metric -> value in [0, 1].

    Raises:
        ValueError: if the run does not give classes to whole videos.
    """
    run = restore.from_run(workdir)
    config = run.config
    if config.loss.name not in ("softmax", "sigmoid") or config.get("target", "clip") != "clip":
        raise ValueError(f"{workdir} gives no classes to whole videos: the audit is for the loss softmax or sigmoid.")
    source, evaluator, found = open_run(run, config.test_splits), make_evaluator(run), {}
    metrics = SEVERAL_LABELS if run.multi_label else ONE_LABEL
    kinds = {"multi_label": run.multi_label, "labels": run.labels}
    for (views, crops), protocols in itertools.groupby(protocols_for(config, source.info), lambda x: x[:2]):
        settings = {"num_views": views, "num_crops": crops, "backwards": False}
        outputs = evaluator.outputs(run.params, run.model_state, source, **settings)
        for protocol in protocols:
            loss_fn = losses.LOSSES[config.loss.name]
            result = split_metrics.measure(outputs.logits, outputs.target, loss_fn, protocol=protocol, **kinds)
            name = eval_protocols.described(protocol, multi_label=run.multi_label)
            found[name] = {metric: result[metric] for metric in metrics if metric in result}
    return found


def protocols_for(config, info: dataset_info.DatasetInfo) -> list[Protocol]:
    """Returns the conventions that a run can be evaluated by, those with the same views in a row.

    Views are those of `PROTOCOLS` and of the config: 25 only for networks that see single frames, several only where
    clips are cut, crops only from videos, and mirrored ones only if mirroring keeps the classes.
    """
    multi_label, is_video = config.loss.name == "sigmoid", "prefix" not in info.inputs
    of_config = eval_protocols.of(config.eval)
    possible = {p[:2] for p in (*eval_protocols.PROTOCOLS.values(), of_config)}
    if config.clip.get("sampling", "clip") != "clip":
        possible = {(1, crops) for _, crops in possible if config.clip.sampling != "chunks" or crops == 1}
    if not is_video:
        possible = {(views, 1) for views, _ in possible}
    if info.horizontal_flip != "unchanged":
        possible = {(views, crops) for views, crops in possible if crops < max(clips.NUM_CROPS)}
    if config.clip.num_frames > 1:
        possible = {views for views in possible if views[0] < 25 or views == of_config[:2]}
    found = []
    for views, crops in sorted(possible):
        means = eval_protocols.MEANS if multi_label else eval_protocols.MEANS[:2]
        ways = [(mean, "video") for mean in means] + [("probabilities", "clip")]
        for mean, level in ways if views * crops > 1 else [("probabilities", "video")]:
            for charades in (False, True) if multi_label else (False,):
                found.append(Protocol(views, crops, mean, level, charades))
    return found
