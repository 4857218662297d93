import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.clip_files import WORDS, write_tokenizer
from tests.peers.sentences import sentences
from vidjax.data.text_tokens import END, START, Tokenizer

PEERS = Path(__file__).parents[1] / "peers"
GOLDEN = json.loads((PEERS / "clip.json").read_text())["tokens"]


def test_numbers_are_those_of_the_transformers_library(shared_data):
    tokens = Tokenizer(shared_data / "clip_bpe/bpe_simple_vocab_16e6.txt.gz")(sentences(), 77)
    for row, expected in zip(tokens, GOLDEN["first"], strict=False):
        assert row[: len(expected)].tolist() == expected and not row[len(expected) :].any()
    assert hashlib.sha256(tokens.tobytes()).hexdigest() == GOLDEN["digest"]


@pytest.fixture
def small(tmp_path):
    return Tokenizer(write_tokenizer(tmp_path / "tokenizer.json"))


def test_start_words_end_and_padding(small):
    assert small.size == len(WORDS) + 2
    tokens = small(["a video", "up"], 6)
    start, end = len(WORDS), len(WORDS) + 1
    np.testing.assert_array_equal(tokens, [[start, 0, 1, end, 0, 0], [start, WORDS.index("up"), end, 0, 0, 0]])
    assert tokens.dtype == np.int32


def test_a_long_text_is_cut_and_ends_with_the_end(small):
    tokens = small(["a video of a person"], 4)
    np.testing.assert_array_equal(tokens, [[len(WORDS), 0, 1, len(WORDS) + 1]])


def test_files_that_are_no_tokenizer(tmp_path):
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "broken.gz").write_bytes(b"no archive")
    write_tokenizer(tmp_path / "other.json")
    (tmp_path / "other.json").write_text((tmp_path / "other.json").read_text().replace(END, "</s>"))
    (tmp_path / "merges.txt").write_text(START)
    for name, message in (
        ("broken.json", "broken.json is not a tokenizer"),
        ("broken.gz", "broken.gz is not a tokenizer"),
        ("merges.txt", "merges.txt is not a tokenizer: give a tokenizer.json or bpe_simple_vocab_16e6.txt.gz"),
        ("absent.json", "absent.json is not a tokenizer"),
        ("other.json", "other.json is the tokenizer of another network than CLIP"),
    ):
        with pytest.raises(ValueError, match=message):
            Tokenizer(tmp_path / name)


def test_an_empty_text(small):
    with pytest.raises(ValueError, match="A text is empty: give words"):
        small(["a video", "  "], 5)
