import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import tiny_settings
from vidjax import crossval
from vidjax.data import pipeline, records, tfrecords
from vidjax.evaluation import crossval_fusion
from vidjax.evaluation.fused_runs import fuse_runs


@pytest.fixture(scope="module")
def dataset(numbered_features, tmp_path_factory):
    """Features of six videos in two splits of three."""
    directory = tmp_path_factory.mktemp("two_splits")
    source = pipeline.open_records(numbered_features, ["train"])
    for name, order in (("a", range(3)), ("b", range(3, 6))):
        examples = [records.encode(source[i]) for i in order]
        tfrecords.write_shard(tfrecords.shard_path(directory, name, 0, 1), examples)
    for name in ("labels.txt", "dataset.json"):
        shutil.copy(numbered_features / name, directory / name)
    return directory


@pytest.fixture(scope="module")
def workdirs(dataset, tmp_path_factory):
    """Two cross-validations of two folds and two seeds, linear classifiers of features."""
    place, found = tmp_path_factory.mktemp("crossval"), []
    for pool in ("mean", "max"):
        config = tiny_settings(dataset)
        config.clip = ConfigDict({"num_frames": 2, "sampling": "clip"})
        config.model = ConfigDict({"name": "frame_pool", "pool": pool})
        config.batch_size, config.num_epochs = 3, 4.0
        folds = [(["a"], ["b"]), (["b"], ["a"])]
        result = crossval.run(config, folds, place / pool, num_seeds=2)
        (place / pool / "result.json").write_text(json.dumps(result))
        found.append(place / pool)
    return found


@pytest.mark.parametrize("fusion", ["scores", "svm"])
def test_folds_are_fused_one_by_one(workdirs, fusion):
    result = crossval_fusion.fuse_folds(workdirs, fusion=fusion)
    assert (result["num_videos"], len(result["top1"])) == (6, 2)
    for of_run, workdir in zip(result["runs"], workdirs, strict=True):  # each alone is unchanged
        alone = json.loads((workdir / "result.json").read_text())
        assert of_run["top1"] == pytest.approx(alone["top1"]) and of_run["interval"] == pytest.approx(alone["interval"])
    right = 0
    for fold in ("fold_0", "fold_1"):
        fused = fuse_runs([workdir / "seed_1" / fold for workdir in workdirs], fusion=fusion)
        right += (fused.scores.argmax(1) == fused.target).sum()
    assert np.isclose(result["top1"][1], right / 6)


def test_the_command(workdirs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "fused.json"
    arguments = [*map(str, workdirs), "--fusion", "logits", "--fusion_weights", "1,2", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["crossval_fusion", *arguments])
    crossval_fusion.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(": top1")[0] for line in printed] == [*map(str, workdirs), "fused, logits"]
    assert json.loads(out.read_text())["weights"] == [1, 2]


def test_directories_that_cannot_be_fused(workdirs, tmp_path):
    with pytest.raises(ValueError, match="has no seed_0/fold_0: it is not a directory of vidjax.crossval"):
        crossval_fusion.find_runs([workdirs[0], tmp_path])
    fewer = tmp_path / "fewer"
    shutil.copytree(workdirs[1], fewer)
    shutil.rmtree(fewer / "seed_1/fold_1")
    with pytest.raises(ValueError, match="differ in the number of folds: 4 of .*mean, 3 of .*fewer"):
        crossval_fusion.find_runs([workdirs[0], fewer])
    (fewer / "result.json").unlink()  # which is written last
    with pytest.raises(ValueError, match="fewer is not finished: run vidjax.crossval again"):
        crossval_fusion.find_runs([fewer, workdirs[0]])
