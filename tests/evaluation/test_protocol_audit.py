import dataclasses
import sys

import numpy as np
import pytest
from ml_collections import ConfigDict

from vidjax.data import dataset_info
from vidjax.evaluation import audit, protocol_audit
from vidjax.evaluation.run_outputs import make_evaluator, open_run

ONE = (1, 1, "probabilities", "video", False)


def protocols(info, **changes):
    config = ConfigDict({"loss": {"name": "softmax"}, "clip": {"num_frames": 8}, "eval": {}})
    config.update_from_flattened_dict(changes)
    return [tuple(x) for x in protocol_audit.protocols_for(config, dataset_info.DatasetInfo(["a"], *info))]


def test_conventions_fit_the_run():
    found = protocols(["unchanged"])
    assert found[0] == ONE and {x[:2] for x in found} == {(1, 1), (10, 1), (10, 3)}
    assert [x[2:4] for x in found[1:4]] == [("probabilities", "video"), ("logits", "video"), ("probabilities", "clip")]
    frames = {"clip.num_frames": 1}
    assert (25, 10) in {x[:2] for x in protocols(["unchanged"], **frames)}
    assert {x[1] for x in protocols(["forbidden"], **frames)} == {1, 3}  # no mirrored crops
    features = protocols(["unchanged", None, {"prefix": "RGB"}], **frames)
    assert {x[:2] for x in features} == {(1, 1), (10, 1), (25, 1)}
    assert {x[:2] for x in protocols(["unchanged"], **{"eval.num_views": 5})} >= {(5, 1)}
    several = protocols(["unchanged"], **{"loss.name": "sigmoid"})
    assert several[:2] == [ONE, (*ONE[:4], True)] and "maximum" in {x[2] for x in several}


def test_sampling_that_covers_a_video_once():
    segments = {"clip": ConfigDict({"num_frames": 8, "sampling": "segments"})}
    assert {x[:2] for x in protocols(["unchanged"], **segments)} == {(1, 1), (1, 3), (1, 10)}
    segments["clip"].sampling = "chunks"
    assert {x[:2] for x in protocols(["unchanged"], **segments)} == {(1, 1)}


def test_one_run_under_every_convention(tiny_trained, tiny_run, monkeypatch, capsys):
    found = protocol_audit.conventions_of(tiny_run.workdir)
    assert len(found) == 1 + 3 + 3 and "10 clips x 3 crops, mean of logits" in found
    source = open_run(tiny_trained, tiny_trained.config.test_splits)
    views = {"num_views": 10, "num_crops": 3}
    result, _ = make_evaluator(tiny_trained)(tiny_trained.params, tiny_trained.model_state, source, **views)
    of_videos = found[result["convention"].replace(f" of {tiny_trained.config.clip.num_frames} frames", "")]
    assert of_videos == {"top1": result["top1"], "top5": result["top5"]}
    by_clip = found["10 clips x 3 crops, each by itself"]
    np.testing.assert_allclose(by_clip["top1"], result["top1_clip"])
    monkeypatch.setattr(protocol_audit, "conventions_of", lambda workdir: found)
    monkeypatch.setattr(sys, "argv", ["audit", str(tiny_run.workdir)])
    audit.main()
    table = capsys.readouterr().out
    points = 100 * np.ptp([of["top1"] for of in found.values()])
    assert f"| {tiny_run.workdir} | spread | {points:.1f} |" in table and "ranking" not in table


def test_runs_of_another_kind_are_refused(tiny_trained, monkeypatch):
    config = ConfigDict(tiny_trained.config.to_dict())
    config.target = "frame"
    monkeypatch.setattr(protocol_audit.restore, "from_run", lambda _: dataclasses.replace(tiny_trained, config=config))
    with pytest.raises(ValueError, match="w gives no classes to whole videos"):
        protocol_audit.conventions_of("w")
