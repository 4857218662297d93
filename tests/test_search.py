import json

import numpy as np
import pytest

from tests.clip_files import write_small_clip
from tests.lvt_files import write_small_lvt
from vidjax import evaluate, features, predict, search
from vidjax.data import pipeline
from vidjax.inference import restore, zero_shot
from vidjax.weights import load as weights

SMALL = {"clip_small": write_small_clip, "lvt_small": write_small_lvt}


@pytest.fixture(params=SMALL)
def network(request, tmp_path, monkeypatch):
    """The name of small weights that compare videos with texts: CLIP's, VideoPrism-LvT's."""
    if request.param == "lvt_small":
        pytest.importorskip("sentencepiece")
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(weights.WEIGHTS, request.param, SMALL[request.param](tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return request.param


@pytest.fixture
def stored(network, tiny_run, tmp_path):
    """Features of the test videos of `tiny_run`."""
    run = restore.from_weights(network)
    features.extract(run, tiny_run.records, "features", tmp_path / "stored", run.clip, 8, ["test"])
    return tmp_path / "stored"


def test_videos_are_sorted_by_their_cosine_with_the_text(network, stored, capsys):
    search.main(["a person up", "left", "--features", str(stored), "--top", "3", "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [x["text"] for x in found] == ["a person up", "left"]
    cosines = [video["cosine"] for video in found[0]["videos"]]
    assert len(cosines) == 3 and cosines == sorted(cosines, reverse=True)
    source, tower = pipeline.open_records(stored, ["test"]), zero_shot.TextTower(network)
    expected = search.search(["a person up"], tower, search.read_embeddings(source))[0]
    assert found[0]["videos"][0]["video"] == source[int(np.argmax(expected))].media_id


@pytest.mark.parametrize("network", ["clip_small"], indirect=True)
def test_searches_that_cannot_work(stored, tiny_run):
    for arguments, message in (
        (["x", "--features", str(tiny_run.records)], "The records hold videos, not features"),
        (["x", "--features", str(stored), "--top", "0"], "--top 0 must be 1 or more"),
        (["x", "--features", str(stored), "--weights", "videoprism_b"], "videoprism_b has no text tower"),
        (["", "--features", str(stored)], "A text is empty"),
    ):
        with pytest.raises(SystemExit, match=f"vidjax.search: {message}"):
            search.main(arguments)
    tower = zero_shot.TextTower("clip_small")
    with pytest.raises(ValueError, match="The features have 7 numbers, the texts of clip_small 12: compute them with"):
        search.search(["up"], tower, np.ones((3, 7), np.float32))


def test_prediction_and_evaluation_with_classes_in_words(network, tiny_run, tmp_path, monkeypatch, capsys):
    video = str(tiny_run.videos["test"][0])
    arguments = ["predict", video, "--weights", network, "--classes", "person up", "person left", "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        predict.main()
    assert not ended.value.code
    top = json.loads(capsys.readouterr().out)["top"]
    assert {x["label"] for x in top} == {"person up", "person left"}
    assert sum(x["probability"] for x in top) == pytest.approx(1)

    monkeypatch.setattr("sys.argv", ["evaluate", "--weights", network, "--dataset", str(tiny_run.records)])
    evaluate.main()
    assert "top1" in capsys.readouterr().out
    result = json.loads((tmp_path / f"result_{network}_data.json").read_text())
    assert result["num_videos"] == 8 and result["splits"] == ["test"]


@pytest.mark.parametrize(
    "command, arguments, message",
    [
        (predict, ["x.mp4", "--workdir", "w", "--classes", "a"], "--classes needs --weights of a network that"),
        (predict, ["x.mp4", "--weights", "clip_vit_b32", "--templates", "t"], "--templates and --tokenizer go with"),
    ],
)
def test_arguments_of_predict_that_do_not_go_together(command, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["predict", *arguments])
    with pytest.raises(SystemExit):
        command.main()
    assert message in capsys.readouterr().err
