import json

import numpy as np
import pytest

from vidjax.evaluation import segment_rule
from vidjax.evaluation.segment_rule import Rule
from vidjax.inference.segments_from_scores import montes_runs

LABELS = ["background", "a", "b"]
# Background for 0.5 s, "a" for 1 s, "b" for 0.4 s
SCORES = np.array([[0.8, 0.1, 0.1]] * 5 + [[0.1, 0.7, 0.2]] * 10 + [[0.2, 0.2, 0.6]] * 4)


def found(*settings, **more):
    return [tuple(x[:3]) for x in segment_rule.segments_of(SCORES, 10.0, Rule(*settings, **more), LABELS)]


def test_segments_of_scores():
    assert segment_rule.segments_of(SCORES, 10.0, Rule(), LABELS) == [
        (0.5, 1.5, "a", pytest.approx(0.7)),
        (1.5, 1.9, "b", pytest.approx(0.6)),
    ]
    assert found("threshold", 0.65) == [(0.5, 1.5, "a")]
    assert found("threshold", 0.2) == [(0.5, 1.9, "a"), (0.5, 1.9, "b")]
    assert found("montes", 0.5) == [(0.5, 1.9, "a")]
    assert segment_rule.segments_of(SCORES, 10.0, Rule(), ["x", "a", "b"])[0][:3] == (0, 0.5, "x")


def test_short_segments_are_left_out():
    assert found(min_seconds=0.4) == [(0.5, 1.5, "a"), (1.5, 1.9, "b")]
    assert found(min_seconds=0.41) == [(0.5, 1.5, "a")]
    for steps in range(1, 100):  # 0.1 * 30 > 3 in floating point
        scores = np.repeat([[1.0, 0.0]], steps, axis=0)
        assert segment_rule.runs_of(scores, 30.0, Rule(min_seconds=steps / 30), None)


def test_smoothing_is_in_seconds():
    scores = np.tile(np.eye(2)[[0, 1]], (50, 1))  # the class changes with each frame
    assert [len(segment_rule.runs_of(scores, 10.0, Rule("threshold", 0.45, x), None)) for x in (0, 0.2)] == [100, 2]
    montes = segment_rule.runs_of(SCORES, 10.0, Rule("montes", 0.5, smooth=0.3), 0)
    assert montes == montes_runs(SCORES, 0.5, k=3)


def test_the_default_depends_on_the_classes():
    assert segment_rule.default(multi_label=False) == Rule()
    assert segment_rule.default(multi_label=True) == Rule("threshold", 0.5)
    assert segment_rule.default(multi_label=False, of_clips=True) == Rule("threshold", 0.3)
    assert segment_rule.possible(LABELS, multi_label=False) == segment_rule.HOW
    assert segment_rule.possible(["x", "a"], multi_label=False) == ("argmax", "threshold")
    assert segment_rule.possible(LABELS, multi_label=True) == ("threshold",)


def test_a_rule_in_words():
    assert segment_rule.described(Rule()) == "argmax"
    text = "threshold 0.3, smoothed over 0.5 s, at least 1 s"
    assert segment_rule.described(Rule("threshold", 0.3, 0.5, 1.0)) == text


def test_the_file_keeps_the_rule(tmp_path):
    assert segment_rule.read(tmp_path) is None
    rule = Rule("montes", 0.2, 1.5, 0.0)
    segment_rule.write(tmp_path, rule, splits=["val"])
    assert segment_rule.read(tmp_path) == rule
    assert json.loads((tmp_path / segment_rule.FILE).read_text())["splits"] == ["val"]


@pytest.mark.parametrize(
    "change", [{"how": "best"}, {"threshold": 1.5}, {"smooth": -1}, {"smooth": "1"}, {"min_seconds": float("nan")}]
)
def test_an_invalid_file(change, tmp_path):
    (tmp_path / segment_rule.FILE).write_text(json.dumps({**Rule()._asdict(), **change}))
    with pytest.raises(ValueError, match="segment_rule.json holds an invalid rule, .* choose it again"):
        segment_rule.read(tmp_path)
