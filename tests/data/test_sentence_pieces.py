import hashlib
import io

import numpy as np
import pytest

from tests.lvt_files import GOLDEN, write_pieces
from tests.peers.sentences import sentences
from vidjax.data.sentence_pieces import PADDING, SentencePieces, canonical

sentencepiece = pytest.importorskip("sentencepiece")


@pytest.fixture
def small(tmp_path):
    return SentencePieces(write_pieces(tmp_path / "sentencepiece.model"))


def test_numbers_and_paddings_are_those_of_the_authors(small):
    """Theirs are padded with zeros, beside an array of paddings."""
    golden, tokens = GOLDEN["tokens"], small(sentences(), 64)
    for row, expected in zip(tokens, golden["first"], strict=False):
        assert row[: len(expected)].tolist() == expected and (row[len(expected) :] == PADDING).all()
    ids, paddings = np.maximum(tokens, 0), (tokens == PADDING).astype(np.float32)
    assert hashlib.sha256(ids.tobytes()).hexdigest() == golden["ids"]
    assert hashlib.sha256(paddings.tobytes()).hexdigest() == golden["paddings"]
    assert (paddings[:, -1] == 0).sum() > 100  # long texts are cut


def test_texts_are_in_lower_case_without_punctuation_and_end_with_a_period(small):
    assert canonical(" Two_people  shake HANDS!\n") == "two people shake hands."
    assert canonical("École, 2.5 x²") == "école 2 5 x²."
    np.testing.assert_array_equal(small(["A person."], 20), small(["a  PERSON!?"], 20))
    assert small(["a person"], 20).dtype == np.int32


def test_a_start_comes_first_if_the_model_has_one(tmp_path, small):
    content = io.BytesIO()
    lines = iter(["a person shakes hands", "a person waves", "hands up"])
    settings = {"vocab_size": 22, "bos_id": 5, "model_type": "char", "minloglevel": 2, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=content, **settings)
    path = tmp_path / "start.model"
    path.write_bytes(content.getvalue())
    tokens = SentencePieces(path)(["hands", "a person shakes hands"], 8)
    assert (tokens[:, 0] == 5).all() and (tokens[0] == PADDING).sum() == 0 and (tokens[1] != PADDING).all()
    assert small.size == 90 and not (small(["hands"], 8) == 5).any()


def test_files_that_are_no_model(tmp_path):
    (tmp_path / "broken.model").write_text("{}")
    (tmp_path / "empty.model").write_bytes(b"")
    for name in ("broken.model", "empty.model", "absent.model"):
        with pytest.raises(ValueError, match=f"{name} is not a SentencePiece model.*: give a sentencepiece.model"):
            SentencePieces(tmp_path / name)


def test_an_empty_text(small):
    with pytest.raises(ValueError, match="A text is empty: give words"):
        small(["a video", "  "], 5)


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    message = r"this needs sentencepiece, which is not installed: pip install -e '\.\[text\]'"
    with pytest.raises(ValueError, match=message):
        SentencePieces(write_pieces(tmp_path / "sentencepiece.model"))
