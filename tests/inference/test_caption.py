import dataclasses
import itertools
import json
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from vidjax import metrics, models, predict, step
from vidjax.inference import caption, restore, windows

SPEC = {"mean": [127.5] * 3, "std": [127.5] * 3}
TABLE = np.log(np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 3)))  # of a word, given the two before it


def step_of_table(state, last):
    """A language of three words, each of which depends on the two before it."""
    before = state if state is not None else np.zeros(len(last), int)
    return last, TABLE[before, last]


def log_probability(words):
    before = last = total = 0
    for word in words:
        total += TABLE[before, last, word]
        before, last = last, word
    return total


def test_enough_beams_find_the_likeliest_of_all_sequences():
    length = 4
    sequences = [(*words, 0) for n in range(length + 1) for words in itertools.product((1, 2), repeat=n)]
    best = max(sequences, key=log_probability)
    words, score = caption.beam_search(step_of_table, None, beams=64, length=length)
    assert words == list(best[:-1])
    np.testing.assert_allclose(score, log_probability(best))


def test_one_beam_is_greedy():
    words, last, before = [], 0, 0
    for _ in range(6):
        before, last = last, int(TABLE[before, last].argmax())
        if last == 0:
            break
        words.append(last)
    assert caption.beam_search(step_of_table, None, beams=1, length=6)[0] == words


@pytest.fixture(scope="module")
def run():
    """A randomly initialised captioner with a vocabulary of six words."""
    model = models.make_model("captioner", 6, network={"name": "r3d_18", "width": 0.0625}, hidden=16, grid=(1, 2))
    batch = {"video": np.zeros((1, 4, 32, 32, 3), np.uint8), "tokens": np.zeros((1, 5), np.int32)}
    params, state = jax.jit(lambda: step.init_variables(0, batch, model=model, spec=SPEC))()
    params["classifier"]["kernel"] = 8 * params["classifier"]["kernel"]
    params["classifier"]["bias"] = params["classifier"]["bias"].at[0].set(0.5)
    labels, inputs = ["<end>", "a", "b", ",", "c", "d"], {"caption_length": 5}
    clip = {"num_frames": 4, "size": 32, "resize": 32}
    return restore.Trained("w", model, params, state, None, labels, SPEC, clip, inputs)


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)


def test_the_greedy_caption_is_an_exact_match_under_teacher_forcing(run, clip):
    text, probability = caption.make_writer(run)({"video": clip[None]})
    words = [run.labels.index(word) for word in text.replace(",", " ,").split()]
    assert len(words) == 4  # the maximum length, where the end is forced
    target = np.array([*words, 0, 0, 0, 0, 0])[:5]
    tokens = np.array([0, *target[:-1]], np.int32)
    weight = (np.arange(5) < len(words)).astype(float)
    batch = {"video": clip[None], "tokens": tokens[None]}
    logits = step.eval_step(run.params, run.model_state, batch, model=run.model, spec=SPEC)[0]
    assert metrics.words(np.asarray(logits), target, weight) == {"top1": 1, "exact": 1}
    other = np.where(target == 1, 2, 1)
    assert metrics.words(np.asarray(logits), other, weight)["exact"] == 0
    of_words = jax.nn.log_softmax(logits)[np.arange(5), target]
    np.testing.assert_allclose(np.log(probability), of_words.sum(), rtol=1e-5)


def test_the_command(run, clip, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.mp4").write_text("not read here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(restore, "from_run", lambda *_: run)
    monkeypatch.setattr(predict, "views_of", lambda *_, **__: {"video": clip[None]})
    for arguments in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["predict", "a.mp4", "--workdir", "w", "--beams", "2", *arguments])
        with pytest.raises(SystemExit):
            predict.main()
    out = capsys.readouterr().out.splitlines()
    line = json.loads(out[-1])
    assert out[0] == "a.mp4" and out[1].endswith(f"%  {line['caption']}") and 0 < line["probability"] <= 1
    monkeypatch.setattr(sys, "argv", ["predict", "a.mp4", "--workdir", "w", "--num_views", "3"])
    with pytest.raises(SystemExit, match="2"):
        predict.main()
    assert "--num_views is for classes" in capsys.readouterr().err


def test_a_caption_per_window(run, clip, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.mp4").write_text("not read here")
    found = [windows.Window(0, 1, [{"video": clip[None]}]), windows.Window(1, 1.5, [{"video": clip[None, ::-1]}])]
    monkeypatch.setattr(restore, "from_run", lambda *_: run)
    monkeypatch.setattr(windows, "cut_windows", lambda *_, **__: iter(found))
    arguments = [str(tmp_path / "a.mp4"), "--workdir", "w", "--windows", "1", "--beams", "2", "--json"]
    monkeypatch.setattr(sys, "argv", ["predict", *arguments])
    with pytest.raises(SystemExit):
        predict.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["start"], line["end"]) for line in lines] == [(0, 1), (1, 1.5)]
    write = caption.make_writer(run, 2)
    for line, window in zip(lines, found, strict=True):
        assert (line["caption"], line["probability"]) == write(window.views[0])


def test_errors(run):
    with pytest.raises(ValueError, match="--beams 0 must be 1 or more"):
        caption.make_writer(run, 0)
    with pytest.raises(ValueError, match="w classifies videos; it does not write captions"):
        caption.make_writer(dataclasses.replace(run, model=SimpleNamespace()))
    assert caption.sentence(["a", ",", "b"]) == "a, b"
