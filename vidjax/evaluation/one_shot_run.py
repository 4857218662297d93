"""One-shot evaluation of a run: how well its embeddings of a split tell classes apart that it was not trained on."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from vidjax.data import augment, label_scan, pipeline, tfrecords
from vidjax.data.sources import omniglot
from vidjax.evaluation import one_shot, one_shot_plots, pairs
from vidjax.evaluation.run_outputs import check_inputs, make_evaluator, open_run, views_of
from vidjax.inference import embedding, restore
from vidjax.inference.embedding import Distance


def ways_and_shots(text: str) -> tuple[int, int]:
    """Parses "20x1": 20 ways, 1 shot. Raises a ValueError for anything else."""
    if not (found := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise ValueError(f"--one_shot {text!r} must be WAYSxSHOTS, such as 20x1.")
    return int(found[1]), int(found[2])


def embeddings_of(
    run: restore.Trained, source: pipeline.Records, order: str = "forwards", **views
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the embedding of each video, float32 (N, D), and its class, int (N,).

    Args:
        order: how clips are played, see `outputs.in_order`.
        views: `num_views` and `num_crops`, whose embeddings are averaged; None for those of the run.

    Raises:
        ValueError: see `embedding.embedder_of`; also if videos have several labels.
    """
    embedder = embedding.embedder_of(run)
    if run.multi_label:
        raise ValueError(f"{run.name} gives videos several labels: one-shot evaluation needs exactly one for each.")
    of_views = views_of(run, views)
    playing = {"backwards": False, "order": order}
    found = make_evaluator(embedder).outputs(run.params, run.model_state, source, **playing, **of_views)
    return embedding.pooled(found.logits), found.target


def groups_of(source: pipeline.Records, by: str | None) -> np.ndarray | None:
    """Returns the group of each video, (N,) text; None without `by`.

    Args:
        by: "split"; "superclass", what comes before the last slash in the name of the class, such as the alphabet; or a
            regular expression with one group in parentheses, which is searched for in the path of the video.

    Raises:
        ValueError: for an expression that is invalid or that a path does not match.
    """
    if by is None:
        return None
    if by == "split":
        return np.array([tfrecords.split_of(shard) for shard, _ in source.places])
    examples = [label_scan.of_record(*place) for place in source.places]
    if by == "superclass":
        return np.array([source.info.labels[example.labels[0]].rpartition("/")[0] for example in examples])
    try:
        expression = re.compile(by)
    except re.error as error:
        raise ValueError(f"{by!r} is not a regular expression: {error}.") from None
    if expression.groups != 1:
        raise ValueError(f"Give split, superclass, or a regular expression with one group in parentheses, not {by!r}.")
    found = [expression.search(example.media_id) for example in examples]
    if None in found:
        raise ValueError(f"{by!r} does not occur in {examples[found.index(None)].media_id!r}: change the expression.")
    return np.array([match[1] for match in found])


def evaluate(
    embeddings: np.ndarray,
    labels: np.ndarray,
    ways: int,
    shots: int,
    *,
    number: int = 1000,
    within: np.ndarray | None = None,
    across: np.ndarray | None = None,
    distance: Distance = "euclidean",
    shuffled: np.ndarray | None = None,
    backwards: np.ndarray | None = None,
) -> dict:
    """Returns all measures of `one_shot` and `pairs` for embeddings (N, D), labels (N,) and groups (N,).

    Args:
        number: episodes of each kind.
        shuffled, backwards: embeddings (N, D) of the videos played in other orders.

    Returns:
        one_shot_20x1, or one_shot_20x1_within for classes of one group, named by the ways and shots; the same name with
        _shuffled, where all videos are, and _reversed, where queries are played backwards; verification;
        retrieval; open_set, where half of the ways have no prototype; by_ways (without groups of classes), num_videos,
        num_classes and size, the length of embeddings.
    """
    kind = {"across": across, "distance": distance}
    settings = {**kind, "number": number}
    episodes = [*one_shot.draw_episodes(labels, ways, shots, within=within, across=across, number=number)]
    name = f"one_shot_{ways}x{shots}" + ("" if within is None else "_within")
    known, size = ways // 2, embeddings.shape[1]
    open_set = one_shot.open_set(embeddings, labels, known, shots, unknown=ways - known, within=within, **settings)

    def accuracy(of: np.ndarray, queries: np.ndarray | None = None) -> dict:
        return one_shot.accuracy(*one_shot.predict(of, labels, episodes, distance, queries=queries))

    return {
        name: accuracy(embeddings),
        **({} if shuffled is None else {f"{name}_shuffled": accuracy(shuffled)}),
        **({} if backwards is None else {f"{name}_reversed": accuracy(embeddings, backwards)}),
        "verification": pairs.verification(embeddings, labels, **kind),
        "retrieval": pairs.retrieval(embeddings, labels, **kind),
        "open_set": open_set,
        "by_ways": one_shot.accuracy_by_ways(embeddings, labels, shots, **settings),
        **{"num_videos": len(labels), "num_classes": len(np.unique(labels)), "size": size},
    }


def run_one_shot(
    workdir: Path,
    task: str,
    *,
    out: Path,
    step: int | None = None,
    dataset: Path | None = None,
    splits: Sequence[str] | None = None,
    number: int = 1000,
    within: str | None = None,
    across: str | None = None,
    orders: bool = False,
    **views,
) -> dict:
    """Evaluates a run on its test splits, or on others, and writes `out` (JSON) and the picture beside it.

    Args:
        task: such as "20x1", see `ways_and_shots`.
        dataset: other records; their classes need not be those of the run.
        within, across: see `groups_of` and `one_shot.draw_episodes`.
        orders: also evaluates videos played in other orders, see `evaluate`.
        views: `num_views` and `num_crops`; None for those of the run.

    Returns:
        The content of `out`: that of `evaluate`, and the settings.
    """
    ways, shots = ways_and_shots(task)
    run = restore.from_run(workdir, step)
    splits = list(splits or run.config.test_splits)
    source = pipeline.open_records(dataset, splits) if dataset else open_run(run, splits)
    check_inputs(run, source.info.inputs)
    groups = {"within": groups_of(source, within), "across": groups_of(source, across)}
    embeddings, labels = embeddings_of(run, source, **views)
    played = {name: embeddings_of(run, source, name, **views)[0] for name in ("shuffled", "backwards") if orders}
    distance = embedding.distance_of(run)
    result = evaluate(embeddings, labels, ways, shots, number=number, distance=distance, **groups, **played)
    result |= {"within": within, "across": across, "distance": embedding.name_of(distance)}
    result |= {"splits": splits, "checkpoint": run.step}
    if jax.process_index() == 0:
        out.write_text(json.dumps(result, indent=2) + "\n")
        one_shot_plots.draw(out.with_suffix(".png"), embeddings, labels, source.info.labels, shots, distance=distance)
    return result


def run_lake(workdir: Path, directory: Path, step: int | None = None) -> dict:
    """Evaluates a run on the 20 one-shot runs of Omniglot, see `one_shot.within_alphabet_runs`.

    Args:
        directory: folder with run01, ..., run20, or with all_runs.zip.

    Raises:
        ValueError: if the runs cannot be read, or the network does not take single frames.
    """
    run = restore.from_run(workdir, step)
    if run.clip["num_frames"] != 1:
        raise ValueError(f"{run.name} sees clips of {run.clip['num_frames']} frames; the one-shot runs are images.")
    embed_fn, distance = embedding.make_embed_fn(embedding.embedder_of(run)), embedding.distance_of(run)
    size = run.clip["size"]

    def embed(image: np.ndarray) -> np.ndarray:
        frame = np.repeat(image[..., None], 3, -1)
        frame = augment.resize(frame, *augment.resized_shape(*image.shape, run.clip["resize"] or min(image.shape)))
        return embed_fn({"video": augment.crop(frame, augment.centre_box(*frame.shape[:2], size))[None, None]})

    def distances(of: omniglot.Run) -> np.ndarray:
        test, training = (np.stack([embed(image) for image in images]) for images in (of.test, of.training))
        return embedding.distances(test, training, distance)

    return one_shot.within_alphabet_runs((distances(of), of.answers) for of in omniglot.read_runs(directory))


def shown(result: dict) -> dict[str, str]:
    """Returns the main measures as text: shares in %, with their intervals."""
    texts = {}
    for name, found in [*result.items(), *((f"{n} ways", x) for n, x in result["by_ways"].items())]:
        if isinstance(found, dict) and "interval" in found:
            low, high = found["interval"]
            texts[name] = f"{100 * found.get('accuracy', found.get('auroc')):.2f} % [{100 * low:.2f}, {100 * high:.2f}]"
    texts["equal_error_rate"] = f"{100 * result['verification']['equal_error_rate']:.2f} %"
    texts |= {name: f"{100 * x:.2f} %" for name, x in result["retrieval"].items() if name.startswith("recall")}
    return {("open_set auroc" if name == "open_set" else name): text for name, text in texts.items()}
