import json

import numpy as np
import pytest

from tests.networks import network_of
from vidjax.data import pipeline
from vidjax.evaluation import one_shot_run
from vidjax.inference import embedding
from vidjax.inference.views import views_of

LABELS = np.repeat(np.arange(6), 3)
APART = np.eye(6)[LABELS] + 1


def test_ways_and_shots():
    assert one_shot_run.ways_and_shots("20x1") == (20, 1)
    for text in ("20", "x1", "20x1x1", "axb"):
        with pytest.raises(ValueError, match="must be WAYSxSHOTS, such as 20x1"):
            one_shot_run.ways_and_shots(text)


def test_all_measures_of_separated_classes():
    found = one_shot_run.evaluate(APART, LABELS, 4, 2, number=5, distance="cosine")
    assert found["one_shot_4x2"] == {"accuracy": 1, "interval": [1, 1], "num_episodes": 5}
    assert found["verification"]["auroc"] == found["retrieval"]["recall_at_1"] == found["open_set"]["auroc"] == 1
    assert (found["open_set"]["ways"], found["open_set"]["unknown"]) == (2, 2)
    assert list(found["by_ways"]) == ["5", "6"] and found["by_ways"]["6"]["accuracy"] == 1
    assert (found["num_videos"], found["num_classes"], found["size"]) == (18, 6, 6)
    assert one_shot_run.shown(found) == {
        "one_shot_4x2": "100.00 % [100.00, 100.00]",
        "open_set auroc": "100.00 % [100.00, 100.00]",
        "5 ways": "100.00 % [100.00, 100.00]",
        "6 ways": "100.00 % [100.00, 100.00]",
        "equal_error_rate": "0.00 %",
        "recall_at_1": "100.00 %",
        "recall_at_5": "100.00 %",
        "recall_at_10": "100.00 %",
    }
    json.dumps(found)


def test_classes_of_one_group_have_a_name_of_their_own():
    within = np.array(["a", "b"]).repeat(9)
    found = one_shot_run.evaluate(APART, LABELS, 3, 1, number=5, within=within)
    assert "one_shot_3x1_within" in found and "one_shot_3x1" not in found


def test_other_orders_have_names_of_their_own():
    found = one_shot_run.evaluate(APART, LABELS, 3, 1, number=5, shuffled=APART[:, ::-1], backwards=np.ones_like(APART))
    assert found["one_shot_3x1"]["accuracy"] == found["one_shot_3x1_shuffled"]["accuracy"] == 1
    assert found["one_shot_3x1_reversed"]["accuracy"] == 0  # all queries in one point


def test_embeddings_of_a_split_equal_those_of_its_videos(tiny_trained, tiny_run):
    source = pipeline.open_records(tiny_run.records, ["test"])
    found, labels = one_shot_run.embeddings_of(tiny_trained, source, num_views=2, num_crops=1)
    assert found.shape == (8, 32) and labels.tolist() == list(range(8))
    embed_fn = embedding.make_embed_fn(embedding.embedder_of(tiny_trained))
    for row, path in zip(found[:2], tiny_run.videos["test"], strict=False):
        np.testing.assert_allclose(row, embed_fn(views_of(tiny_trained, path, 2)), rtol=1e-4, atol=1e-5)


def test_groups_of_videos(tiny_run):
    source = pipeline.open_records(tiny_run.records, ["test", "val"])
    assert one_shot_run.groups_of(source, None) is None
    assert one_shot_run.groups_of(source, "split").tolist() == ["test"] * 8 + ["val"] * 8
    labels = [source.info.labels[source[i].labels[0]] for i in range(16)]
    assert one_shot_run.groups_of(source, r"([^/]+)/[^/]+$").tolist() == labels  # the folder of the video
    assert one_shot_run.groups_of(source, "superclass").tolist() == [""] * 16  # no slash in these names
    for by, message in (
        ("(", "is not a regular expression: missing"),
        ("test", "with one group in parentheses, not 'test'"),
        ("(zebra)", r"'\(zebra\)' does not occur in '.*mp4'"),
    ):
        with pytest.raises(ValueError, match=message):
            one_shot_run.groups_of(source, by)


def test_a_run_is_evaluated_on_its_records(tiny_run, tmp_path):
    """Two videos of each class, in the splits val and test: a query is from the other split."""
    out = tmp_path / "one_shot.json"
    settings = {"splits": ["val", "test"], "number": 20, "across": "split"}
    result = one_shot_run.run_one_shot(tiny_run.workdir, "4x1", out=out, **settings)
    assert json.loads(out.read_text()) == result
    assert result["distance"] == "cosine" and result["across"] == "split" and result["within"] is None
    assert result["verification"]["num_pairs"] == 64 and result["verification"]["num_same"] == 8
    assert list(result["by_ways"]) == ["5", "8"]
    assert out.with_suffix(".png").stat().st_size > 10_000


def test_runs_of_omniglot_need_a_network_on_images(tmp_path, monkeypatch):
    run = network_of("r3d_18", width=1 / 16)
    monkeypatch.setattr(one_shot_run.restore, "from_run", lambda workdir, step: run)
    with pytest.raises(ValueError, match="sees clips of 8 frames; the one-shot runs are images"):
        one_shot_run.run_lake(tmp_path, tmp_path)
