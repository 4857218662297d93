import functools

import numpy as np
from ml_collections import ConfigDict

from vidjax import losses
from vidjax.data.dataset_info import DatasetInfo
from vidjax.eval_protocols import Protocol
from vidjax.evaluation import split_metrics
from vidjax.evaluation.outputs import Outputs

LOGITS = np.log(np.array([[[0.7, 0.2, 0.1]], [[0.1, 0.3, 0.6]], [[0.6, 0.3, 0.1]]], np.float32))  # (3, 1, 3)
TARGET = np.array([0, 1, 0])
PAIRS = [2, 1, 0]


def test_measure_is_the_loss_and_the_metrics():
    loss = lambda outputs, labels: np.full(labels.shape, 3.0)  # noqa: E731
    found = split_metrics.measure(LOGITS, TARGET, loss, multi_label=False, pairs=PAIRS)
    assert (found["loss"], found["top1"], found["num_videos"]) == (3, np.float32(2 / 3), 3)
    assert "mAP" in split_metrics.measure(LOGITS, np.eye(3)[TARGET], lambda o, t: o.sum(-1), multi_label=True)


def test_the_protocol_pools_the_clips():
    """One sure clip for class 0 against two for class 1. At clip level each is right or wrong by itself."""
    logits = np.array([[[9.0, 0, 0], [0, 2, 0], [0, 2, 0]]] * 2, np.float32)
    target, loss = np.array([0, 1]), losses.softmax_cross_entropy

    def top1(**settings):
        found = split_metrics.measure(logits, target, loss, multi_label=False, protocol=Protocol(3, **settings))
        assert found["num_videos"] == 2 and np.isclose(found["top1_clip"], 0.5)
        return found["per_class"][:2]

    assert top1() == [0, 1] and top1(mean="logits") == [1, 0] == top1(mean="maximum")
    np.testing.assert_allclose(top1(level="clip"), [1 / 3, 2 / 3])
    config = {"loss": {"name": "softmax"}, "target": "clip", "eval": {"protocol": "10x3 views, logits"}}
    outputs, config = Outputs(logits, target), ConfigDict(config | {"clip": {"num_frames": 4}})
    info = DatasetInfo(["a", "b", "c"], "unchanged")
    assert split_metrics.metrics_of(outputs, config, info)["per_class"][:2] == [1, 0]
    text = "1 clip of 4 frames x 3 crops, mean of logits"  # of the clips that there are
    assert split_metrics.convention(outputs, config, num_crops=3) == {"convention": text}
    config.loss.name = "triplet"
    assert split_metrics.convention(outputs, config, num_crops=3) == {}


def test_verbs_nouns_and_actions():
    logits = np.array([[[3.0, 1, 0, 2, 1]], [[0, 1, 5, 2, 4]]], np.float32)
    target, labels = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]]), ["verb:a", "verb:b", "noun:c", "noun:d", "noun:e"]
    found = split_metrics.measure(logits, target, losses.sigmoid_cross_entropy, multi_label=True, labels=labels)
    assert (found["top1_verb"], found["top1_noun"], found["top1_action"]) == (1.0, 0.5, 0.5)


def test_embeddings_have_the_metrics_of_retrieval():
    config = ConfigDict({"loss": {"name": "triplet"}, "target": "clip"})
    embeddings = np.array([0.0, 1, 5, 2, 6])[:, None, None]  # (5, 1, 1); nearest are 1, 0 or 3, 6, 1, 5
    outputs = Outputs(embeddings, np.array([0, 0, 1, 1, 1]))
    found = split_metrics.metrics_of(outputs, config, DatasetInfo(["a", "b"], "forbidden"))
    assert found == {"recall_at_1": 3 / 5, "recall_at_5": 1, "recall_at_10": 1, "num_queries": 5, "num_videos": 5}


def test_played_backwards_the_partner_is_right():
    scores = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])  # takes them for 2, 0 and 1
    assert np.isclose(split_metrics.top1_reversed(scores, TARGET, PAIRS), 1 / 3)


def test_metrics_of_fused_scores_have_neither_loss_nor_clips():
    scores = np.exp(LOGITS[:, 0])
    found = split_metrics.fused_metrics(scores, scores, TARGET, pairs=PAIRS)
    assert np.isclose(found["top1"], 2 / 3) and found["top1_reversed"] == 0
    assert "loss" not in found and "top1_clip" not in found
    assert "top1_reversed" not in split_metrics.fused_metrics(scores, None, TARGET)


def test_fused_scores_of_charades_leave_out_videos_without_a_label():
    scores, target = np.array([[0.9], [0.8], [0.1]]), np.array([[0], [1], [0]])
    labelled = np.array([[0, 1], [1, 0], [0, 1]])  # the first and last have the other class
    of = functools.partial(split_metrics.fused_metrics, scores, None, multi_label=True)
    assert of(target)["mAP"] == 0.5  # an unlabelled video comes first
    assert of(target, charades=True)["mAP"] == 1  # only the second video counts
    two = np.concatenate([scores, 1 - scores], axis=1)
    found = split_metrics.fused_metrics(two, None, labelled, multi_label=True, charades=True)
    assert found["per_class"][0] == 0.5  # all are labelled


def test_segments_of_the_frames_that_count():
    """Two videos of two clips of 3 frames; the last two frames of the second video are padding."""
    true = np.array([[[0, 0, 1], [1, 2, 2]], [[0, 1, 1], [1, 0, 0]]])
    predicted = np.array([[[0, 0, 1], [1, 2, 2]], [[0, 1, 0], [1, 2, 2]]])
    weight = np.ones(true.shape)
    weight[1, 1, 1:] = 0
    outputs = Outputs(np.eye(3)[predicted], true, weight=weight)
    metrics = split_metrics.frame_metrics(outputs, ["background", "a", "b"], multi_label=False)
    assert metrics["detection"]["activitynet"]["num_segments"] == 3 and metrics["detection"]["rule"]["how"] == "argmax"
    found = metrics["segments"]
    assert set(found) == {f"{a}{b}" for a in ("pooled", "mean_over_videos") for b in ("", "_without_background")}
    pooled = found["pooled"]
    assert pooled["frame_accuracy"] == 9 / 10 and pooled["edit"] == (1 + 2 / 4) / 2
    assert found["pooled_without_background"]["edit"] == (1 + 1 / 2) / 2
    others = split_metrics.frame_metrics(outputs, ["x", "a", "b"], multi_label=False)
    assert set(others["segments"]) == {"pooled", "mean_over_videos"}
    assert others["detection"]["activitynet"]["num_segments"] == 5
