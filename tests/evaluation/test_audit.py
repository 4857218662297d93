import json
import sys

import numpy as np
import pytest

from vidjax.evaluation import audit, segments
from vidjax.evaluation.audit import Flip

ZERO = dict.fromkeys(audit.METRICS, 0.5)
METHODS = {
    "a": {"pooled": {**ZERO, "f1_50": 0.6}, "mean_over_videos": {**ZERO, "f1_50": 0.55, "edit": 0.7}},
    "b": {"pooled": {**ZERO, "f1_50": 0.5}, "mean_over_videos": {**ZERO, "f1_50": 0.58}},
}


def test_spread_and_flips():
    assert audit.spread(METHODS["a"]) == pytest.approx({**dict.fromkeys(audit.METRICS, 0), "f1_50": 5, "edit": 20})
    assert audit.flips(METHODS) == [Flip("f1_50", "a", "b", "pooled", "mean_over_videos")]
    assert audit.flips({"a": METHODS["a"]}) == []
    more = {**METHODS["b"], "another": {**ZERO, "edit": 1.0}}  # which the other method lacks
    assert audit.flips({"a": METHODS["a"], "b": more}) == audit.flips(METHODS)


def test_the_command_reads_results(tmp_path, monkeypatch, capsys):
    for name, of_method in METHODS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({"segments": of_method}))
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path / "a"), str(tmp_path / "b")])
    audit.main()
    out = capsys.readouterr().out
    assert "| pooled | 50.0 | 50.0 | 50.0 | 50.0 | 60.0 |" in out and "| spread | 0.0 | 20.0 | 0.0 | 0.0 | 5.0 |" in out
    assert f"- f1_50: {tmp_path / 'a'} is ahead of {tmp_path / 'b'} with pooled, behind with mean_over_videos" in out
    (tmp_path / "b" / "result.json").write_text("{}")
    with pytest.raises(SystemExit, match="b is not a work directory: it has no config.json"):
        audit.main()


def test_conventions_with_and_without_background():
    predicted, true = [np.array([0, 0, 1, 1]), np.array([1, 1])], [np.array([0, 1, 1, 1]), np.array([1, 1])]
    found = segments.conventions(predicted, true, [0])
    assert list(found) == [
        "pooled",
        "pooled_without_background",
        "mean_over_videos",
        "mean_over_videos_without_background",
    ]
    assert found["pooled"]["frame_accuracy"] == 5 / 6 and found["mean_over_videos"]["frame_accuracy"] == 7 / 8
    assert list(segments.conventions(predicted, true)) == ["pooled", "mean_over_videos"]


def test_the_ranking_of_published_methods_flips(shared_data):
    """On 50Salads, mid level: with background the Dilated TCN has the better edit score, without it the tCNN."""
    arrays = np.load(shared_data / "segmentation_predictions/all_P_Y.npz")
    methods = {}
    for method in ("mid_video_DilatedTCN_B3_L5", "mid_video_tCNN_C36", "mid_video_ED-TCN_L2_C15"):
        keys = sorted(key for key in arrays if key.startswith(f"50Salads/mid/{method}/") and "/P/" in key)
        predicted, true = ([arrays[key.replace("/P/", f"/{kind}/")].ravel() for key in keys] for kind in "PY")
        integers = [[x.astype(int) for x in side] for side in (predicted, true)]
        methods[method] = segments.conventions(*integers, background=[0])
    of_edit = [flip for flip in audit.flips(methods) if flip.metric == "edit"]
    assert [(flip.first, flip.second) for flip in of_edit] == [("mid_video_DilatedTCN_B3_L5", "mid_video_tCNN_C36")]
    assert audit.spread(methods["mid_video_ED-TCN_L2_C15"])["edit"] > 9
