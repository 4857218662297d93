import dataclasses
import json
import shutil

import numpy as np
import pytest

from vidjax.data import dataset_info, pipeline, records, tfrecords
from vidjax.data.synthetic import motion
from vidjax.evaluation import fused_runs


@pytest.fixture
def run_on(tiny_run, tmp_path):
    """Copies `tiny_run` with other test videos: those at the places `order`, with these file names and labels."""

    def copy(name, order, names, labels=motion.CLASSES):
        source = pipeline.open_records(tiny_run.records, ["test"])
        dataset = tmp_path / f"records_{name}"
        dataset.mkdir()
        examples = [dataclasses.replace(source[i], media_id=names[i]) for i in order]
        tfrecords.write_shard(tfrecords.shard_path(dataset, "test", 0, 1), map(records.encode, examples))
        dataset_info.write(dataset, dataclasses.replace(source.info, labels=list(labels)), complete=True)
        workdir = tmp_path / name
        shutil.copytree(tiny_run.workdir, workdir)
        content = json.loads((workdir / "config.json").read_text())
        content["config"]["dataset"], content["labels"] = str(dataset), list(labels)
        (workdir / "config.json").write_text(json.dumps(content))
        return workdir

    return copy


def test_file_names_identify_videos(tiny_run, run_on):
    """The directories of the files may differ."""
    copy = run_on("copy", range(8), [f"elsewhere/{path.name}" for path in tiny_run.videos["test"]])
    fused = fused_runs.fuse_runs([tiny_run.workdir, copy], weights=[1, 3])
    alone, other = fused.results
    assert alone == other | {"run": alone["run"]}
    assert fused.scores.shape == fused.backwards.shape == (8, 8) and fused.pairs == list(motion.REVERSED)
    assert np.mean(fused.scores.argmax(1) == fused.target) == alone["top1"]
    assert "confusion" not in alone and fused.labels == list(motion.CLASSES)


@pytest.mark.parametrize(
    ("order", "names", "labels", "message"),
    [
        (range(6), [""] * 8, motion.CLASSES, "differ in the number of videos: 8 of .*, 6 of"),
        (
            [1, 0, *range(2, 8)],
            [""] * 8,
            motion.CLASSES,
            "2 of 8 videos have different targets .* video 0",
        ),
        (range(8), ["other.mp4"] * 8, motion.CLASSES, "video 0 is .*mp4 of .*, but other.mp4 of"),
        (range(8), [""] * 8, [*motion.CLASSES[:7], "sideways"], "differ in the labels"),
    ],
)
def test_runs_on_other_videos_cannot_be_fused(order, names, labels, message, tiny_run, run_on):
    other = run_on("other", order, names, labels)
    with pytest.raises(ValueError, match=message):
        fused_runs.fuse_runs([tiny_run.workdir, other])


def test_an_svm_is_not_tested_on_its_training_videos(tiny_run):
    two = [tiny_run.workdir] * 2
    with pytest.raises(ValueError, match="--fusion svm trains on train: test it on other splits"):
        fused_runs.fuse_runs(two, fusion="svm", splits=["train"])
    with pytest.raises(ValueError, match="--fusion_weights applies to scores and logits: an SVM learns its own"):
        fused_runs.fuse_runs(two, fusion="svm", weights=[1, 2])
