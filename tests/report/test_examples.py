import base64
import json
import os

import cv2
import numpy as np
import pytest

from vidjax.data import video as videos
from vidjax.evaluation import predictions
from vidjax.inference import gradcam
from vidjax.report import examples as report_examples
from vidjax.report.entries import Entry


def row(number, true, predicted, score, name=""):
    of_true = score if true == predicted else 0.0
    names = {"video": name or f"video {number}", "true": true, "predicted": predicted}
    return {"number": number, **names, "score": score, "score_of_true": of_true}


def write_predictions(place, rows, dataset=None):
    """Writes predictions like a run, with a config whose clips are the middle 3 frames, 12x12; else like a fusion."""
    place.mkdir(parents=True, exist_ok=True)
    predictions.write(place, rows)
    if dataset:
        clip = {"num_frames": 3, "frame_stride": 1, "size": 12, "resize": 0, "sampling": "clip"}
        config = {"dataset": str(dataset), "clip": clip, "flow": "", "test_splits": ["train"], "model": {"name": "x"}}
        (place / "config.json").write_text(json.dumps({"config": config, "labels": ["a", "b"], "inputs": {}}))


@pytest.fixture
def folds(tmp_path, numbered_records):
    """Two cross-validations with two folds and two seeds; the second seed and the second set are more confident."""
    for part in ("set1", "set2"):
        for seed in range(2):
            sure = 0.9 if seed or part == "set2" else 0.6
            first = [row(0, "a", "b", sure), row(1, "b", "b", 0.8)]
            second = [row(2, "a", "b", sure + 0.05), row(3, "b", "b", 0.7)]
            for fold, rows in enumerate((first, second)):
                write_predictions(tmp_path / f"lstm/{part}/seed_{seed}/fold_{fold}", rows, numbered_records)
    return tmp_path / "lstm/set1", tmp_path / "lstm/set2"


def test_all_folds_of_the_first_seed_of_the_first_part(folds):
    found = report_examples.predictions_of(Entry({}, list(folds)))
    fold_0, fold_1 = folds[0] / "seed_0/fold_0", folds[0] / "seed_0/fold_1"
    assert [(r["number"], r["score"], run) for r, run in found.rows] == [
        (2, 0.65, fold_1),
        (0, 0.6, fold_0),
        (1, 0.8, fold_0),
        (3, 0.7, fold_1),
    ]
    assert found.who == f"the 2 folds of {folds[0] / 'seed_0'}" and found.has_network
    assert found.files == [fold_0 / "predictions.csv", fold_1 / "predictions.csv"]


def test_predictions_of_a_run(tmp_path, numbered_records):
    write_predictions(tmp_path / "mean/seed_0", [row(0, "a", "a", 0.5), row(1, "b", "a", 0.6)], numbered_records)
    entry = Entry({}, [tmp_path / "nothing", tmp_path / "mean/seed_0"])
    found = report_examples.predictions_of(entry)
    assert found.who == str(tmp_path / "mean/seed_0") and [r["number"] for r, _ in found.rows] == [1, 0]
    assert report_examples.predictions_of(Entry({}, [tmp_path / "nothing"])) is None


def test_predictions_of_a_fusion_show_videos_of_its_first_member(folds, tmp_path, numbered_records):
    """A fusion numbers the videos of all folds together, and each fold of the member numbers its own."""
    rows = [row(0, "a", "b", 0.5, "video 2"), row(1, "b", "b", 0.9, "video 1")]
    write_predictions(tmp_path / "fused/set1", rows)
    found = report_examples.predictions_of(Entry({}, [tmp_path / "fused/set1"], [*folds]))
    expected = [(2, folds[0] / "seed_0/fold_1"), (1, folds[0] / "seed_0/fold_0")]
    assert [(r["number"], run) for r, run in found.rows] == expected
    assert found.who == str(tmp_path / "fused/set1") and not found.has_network
    examples, notes = report_examples.examples_of(found, 3, with_maps=True)
    assert notes == [] and all(example.frames and not example.maps for example in examples)

    write_predictions(tmp_path / "mean/seed_0", [row(0, "a", "a", 0.5)], numbered_records)
    write_predictions(tmp_path / "svm/seed_0", [row(0, "a", "b", 0.5)])
    found = report_examples.predictions_of(Entry({}, [tmp_path / "svm/seed_0"], [tmp_path / "mean/seed_0"]))
    assert [run for _, run in found.rows] == [tmp_path / "mean/seed_0"]


def test_a_classifier_of_stored_features_shows_video_files(tmp_path):
    file = tmp_path / "a.mp4"
    videos.write_video(file, np.full((4, 32, 32, 3), 200, np.uint8), 10)
    write_predictions(tmp_path / "svm/set1", [row(0, "a", "b", 0.5, str(file)), row(1, "a", "a", 0.5, "gone/b.mp4")])
    found = report_examples.predictions_of(Entry({}, [tmp_path / "svm/set1"]))
    examples, notes = report_examples.examples_of(found, 6, with_maps=True)
    assert [bool(example.frames) for example in examples] == [True, False]
    assert len(notes) == 1 and notes[0].startswith("No frames of the videos in gone: these files are not found from")


def test_names_of_videos_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    (tmp_path / "svm").mkdir()
    predictions.write(tmp_path / "svm", [row(0, "a", "b", 0.5, name)])
    (found,) = report_examples.predictions_of(Entry({}, [tmp_path / "svm"])).rows
    assert found[0]["video"] == name


def test_how_many_are_selected():
    rows = [(row(i, "a", "b", 0.5), None) for i in range(10)] + [(row(i, "a", "a", 0.5), None) for i in range(10, 20)]
    found = report_examples.Predictions("", [], rows, False)
    numbers = lambda count: [r["number"] for r, _ in report_examples.select(found, count)]  # noqa: E731
    assert numbers(6) == [0, 1, 2, 3, 4, 5, 10, 11] and numbers(1) == [0, 10] and numbers(0) == []


def test_frames_of_the_middle_clip(tmp_path, numbered_records):
    """Frames 3, 4 and 5 of 9: green counts them; red is ten times the video."""
    write_predictions(tmp_path / "run", [row(7, "a", "b", 0.5)], numbered_records)
    frames = report_examples.Videos(tmp_path / "run").frames(7)
    assert frames.shape == (3, 12, 12, 3) and frames[:, 0, 0, :2].tolist() == [[70, 3], [70, 4], [70, 5]]


def test_missing_records_are_noted_once(tmp_path):
    for fold in range(2):
        rows = [row(i, "a", "b", 0.5) for i in range(2)]
        write_predictions(tmp_path / f"cv/seed_0/fold_{fold}", rows, "data/nowhere")
    found = report_examples.predictions_of(Entry({}, [tmp_path / "cv"]))
    examples, notes = report_examples.examples_of(found, 4, with_maps=True)
    assert len(examples) == 4 and not any(example.frames for example in examples)
    assert len(notes) == 1 and "data/nowhere: these records are not found from" in notes[0]
    assert "Run vidjax.report in the directory where training ran" in notes[0]


def test_records_with_other_videos(tmp_path, numbered_records):
    rows = [row(0, "a", "b", 0.6, "another"), row(99, "a", "b", 0.5), row(1, "b", "b", 0.5)]
    write_predictions(tmp_path / "run", rows, numbered_records)
    examples, notes = report_examples.examples_of(
        report_examples.predictions_of(Entry({}, [tmp_path / "run"])), 3, True
    )
    assert [bool(example.frames) for example in examples] == [False, False, True]
    assert [note[:21] for note in notes] == ["No frames of video 0:", "No frames of video 99"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the columns number, video"),
        ("number,video,true,predicted\n0,x,a,b\n", "lacks the columns score, score_of_true"),
        ("number,video,true,predicted,score,score_of_true\nzero,x,a,b,0.5,0.5\n", "invalid literal"),
        ("number,video,true,predicted,score,score_of_true\n0,x,a,b\n", "float"),
    ],
)
def test_broken_predictions(text, message, tmp_path, numbered_records):
    write_predictions(tmp_path / "run", [row(0, "a", "b", 0.5)], numbered_records)
    (tmp_path / "run/predictions.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"run/predictions.csv cannot be read \(.*{message}.*vidjax.evaluate"):
        report_examples.predictions_of(Entry({}, [tmp_path / "run"]))


def test_the_first_mistake_and_the_first_correct_prediction_get_maps(tmp_path, numbered_records, monkeypatch):
    rows = [row(0, "a", "b", 0.6), row(2, "a", "b", 0.5), row(1, "b", "b", 0.5), row(3, "b", "b", 0.4)]
    write_predictions(tmp_path / "run", rows, numbered_records)
    (tmp_path / "run/checkpoints").mkdir()
    found, calls = report_examples.predictions_of(Entry({}, [tmp_path / "run"])), []

    def heat_of(self, batch, label):
        calls.append((int(batch["video"][0, 0, 0, 0, 0]) // 10, label))
        return {("", "conv5"): gradcam.Heat(np.zeros((3, 12, 12), np.float32), np.array([True, False, True]))}

    monkeypatch.setattr(report_examples.HeatMaps, "heat_of", heat_of)
    examples, _ = report_examples.examples_of(found, 6, with_maps=True)
    assert calls == [(0, "b"), (1, "b")]
    assert [[x.method for x in example.maps] for example in examples] == [["conv5"], [], ["conv5"], []]
    assert not any(example.maps for example in report_examples.examples_of(found, 6, with_maps=False)[0])

    def broken(self, batch, label):
        raise RuntimeError("RESOURCE_EXHAUSTED")

    monkeypatch.setattr(report_examples.HeatMaps, "heat_of", broken)
    examples, notes = report_examples.examples_of(found, 6, with_maps=True)
    assert notes == [f"No Grad-CAM maps of {tmp_path / 'run'}: RESOURCE_EXHAUSTED"]
    assert all(example.frames for example in examples)


def test_which_frames_are_shown():
    assert report_examples.shown_frames(3) == [0, 1, 2]
    assert report_examples.shown_frames(15) == [0, 2, 4, 6, 8, 10, 12, 14]
    every_fifth, all_of_them = np.arange(20) % 5 == 2, np.ones(20, bool)
    shown = report_examples.shown_frames(20, [every_fifth, all_of_them])
    assert {2, 7, 12, 17} < set(shown) and len(shown) == 8 and shown == sorted(shown)
    assert report_examples.shown_frames(15, [np.ones(15, bool)]) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert report_examples.shown_frames(40, [np.arange(40) % 2 == 1])[:2] == [1, 7]  # used frames alone fill the strip


def test_a_strip_of_frames():
    frames = np.zeros((20, 32, 48, 3), np.uint8)
    frames[-1, ..., 0] = 255  # red
    picture = decoded(report_examples.strip(frames, range(0, 20)[-8:]))
    assert picture.shape == (64, 8 * 96 + 7 * 2, 3)
    assert picture[:, :96].max() < 10 and picture[30, -40, 2] > 240 and picture[30, -40, :2].max() < 20
    assert decoded(report_examples.strip(frames, [0, 1, 2])).shape == (64, 3 * 96 + 2 * 2, 3)


def test_a_strip_with_heat():
    """On black frames, the lowest heat is dark blue, the highest dark red, and unused frames are pale grey."""
    frames, level = np.zeros((4, 64, 64, 3), np.uint8), np.zeros((3, 64, 64), np.float32)
    level[1] = 1
    heat = gradcam.Heat(level, np.array([True, True, False]))
    picture = decoded(report_examples.strip(frames, [0, 1, 2, 3], heat))
    low, high, unused, without_field = (picture[32, 66 * i + 32].astype(int) for i in range(4))
    assert 20 < low.max() < 60 and high[2] > 40 > high[0]  # BGR
    for pale in (unused, without_field):  # with flow, the last frame has no field
        assert pale.min() > 165 and np.ptp(pale) < 5


def decoded(strip):
    return cv2.imdecode(np.frombuffer(base64.b64decode(strip), np.uint8), 1)
