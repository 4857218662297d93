import dataclasses

import jax
import numpy as np
import pytest

from tests.clip_files import IMAGE, WORDS, write_small_clip, write_tokenizer
from tests.lvt_files import write_pieces, write_small_lvt
from vidjax.inference import restore, zero_shot
from vidjax.models.clip import unit
from vidjax.weights import load as weights

CLASSES = ["person_up", "person left"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path))
    monkeypatch.setitem(weights.WEIGHTS, "clip_small", write_small_clip(tmp_path))
    return "clip_small"


@pytest.fixture
def small_lvt(tmp_path, monkeypatch):
    pytest.importorskip("sentencepiece")
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path))
    monkeypatch.setitem(weights.WEIGHTS, "lvt_small", write_small_lvt(tmp_path))
    return "lvt_small"


@pytest.mark.parametrize("network", ["small", "small_lvt"])
def test_the_kernel_of_the_classifier_holds_the_embeddings_of_texts(network, request):
    small = request.getfixturevalue(network)
    run = zero_shot.with_classes(restore.from_weights(small), CLASSES, ["a {}.", "video of {}."])
    assert run.labels == CLASSES and run.model.num_classes == 2
    tower = zero_shot.TextTower(small)
    up = tower(["a person up.", "video of person up."])
    np.testing.assert_allclose(np.linalg.norm(up, axis=1), 1, rtol=1e-5)
    expected = tower.scale * unit(up.mean(0))
    np.testing.assert_allclose(run.params["classifier"]["kernel"][:, 0], expected, rtol=1e-5)
    logits, ends = jax.jit(run.model.apply)({"params": run.params}, np.ones((1, 2, 48, 48, 3), np.float32))
    cosine = unit(unit(ends["features"]).mean(1)) @ unit(up.mean(0))
    np.testing.assert_allclose(logits[0, 0], tower.scale * cosine[0], rtol=1e-4)


def test_more_texts_than_a_call_takes(small):
    tower, texts = zero_shot.TextTower(small), [f"{WORDS[i % 12]} {WORDS[i % 7]}" for i in range(70)]
    np.testing.assert_allclose(tower(texts)[66], tower(texts[66:67])[0], rtol=1e-5)


@pytest.mark.parametrize(
    "classes, templates, message",
    [
        ([], ["{}"], "The list of classes is empty: give one or more"),
        (["_", "up"], ["{}"], "The class '_' has no words"),
        (["up", "up"], ["{}"], "The class 'up' is given twice"),
        (
            ["up"],
            ["a video"],
            r"The template 'a video' needs one place for the class, \{\}, such as 'a video of \{\}.'",
        ),
        (["up"], ["{} {}"], r"The template '\{\} \{\}' needs one place"),
        (["up"], [], "The list of templates holds no template"),
    ],
)
def test_classes_and_templates_that_cannot_be_used(small, classes, templates, message):
    with pytest.raises(ValueError, match=message):
        zero_shot.with_classes(restore.from_weights(small), classes, templates)


def test_templates_in_a_file(tmp_path):
    (tmp_path / "good.txt").write_text("a video of {}.\n\n  {} \n")
    assert zero_shot.read_templates(tmp_path / "good.txt") == ["a video of {}.", "{}"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="empty.txt holds no template: write one per line"):
        zero_shot.read_templates(tmp_path / "empty.txt")
    with pytest.raises(ValueError, match="--templates .*absent.txt cannot be read"):
        zero_shot.read_templates(tmp_path / "absent.txt")


def test_a_tokenizer_of_other_weights(small, tmp_path):
    other = write_tokenizer(tmp_path / "other.json", [*WORDS, "kicking"])
    with pytest.raises(ValueError, match="other.json has 17 tokens, but the text tower of clip_small knows 16"):
        zero_shot.TextTower(small, other)


def test_a_tokenizer_of_another_kind(small, small_lvt, tmp_path):
    words, pieces = write_tokenizer(tmp_path / "words.json"), write_pieces(tmp_path / "pieces.model")
    with pytest.raises(ValueError, match="pieces.model is not a tokenizer: give a tokenizer.json or bpe_simple_vocab"):
        zero_shot.TextTower(small, pieces)
    with pytest.raises(ValueError, match="words.json is not a SentencePiece model .*: give a sentencepiece.model"):
        zero_shot.TextTower(small_lvt, words)


def test_pieces_of_other_weights(small_lvt, tmp_path):
    import sentencepiece

    given = {"sentence_iterator": iter(["up", "down"]), "model_prefix": tmp_path / "pieces", "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(**given, model_type="char", vocab_size=9)
    with pytest.raises(ValueError, match="pieces.model has 9 tokens, but the text tower of lvt_small knows 90"):
        zero_shot.TextTower(small_lvt, tmp_path / "pieces.model")


def test_networks_without_texts(small, tiny_trained):
    with pytest.raises(ValueError, match="does not compare videos with texts: choose one of clip_vit_b32, "):
        zero_shot.with_classes(tiny_trained, CLASSES)
    with pytest.raises(ValueError, match="videomae_b_kinetics400 has no text tower: choose one of clip_vit_b32, "):
        zero_shot.TextTower("videomae_b_kinetics400")
    run = zero_shot.with_classes(restore.from_weights(small), CLASSES)
    with pytest.raises(ValueError, match="clip_small has classes of its own"):
        zero_shot.with_classes(run, CLASSES)


def test_a_file_without_the_text_tower(small, tmp_path):
    import safetensors.numpy

    path = tmp_path / "small/model.safetensors"
    arrays = {name: x for name, x in safetensors.numpy.load_file(path).items() if name.startswith("vis")}
    safetensors.numpy.save_file(arrays, path)
    assert restore.from_weights(small).model.embedding == IMAGE["embedding"]
    with pytest.raises(ValueError, match="does not hold the text tower of clip_b32:\n  not in the file"):
        zero_shot.TextTower(small)


def test_the_published_entries_fit_together():
    for entry in weights.WEIGHTS.values():
        if entry.text:
            kernel = weights.shapes_of(entry, 3)["params/classifier/kernel"]
            assert kernel == (entry.text.tower(**entry.text.sizes).embedding, 3)
            assert dataclasses.asdict(entry)["labels"] == ()
