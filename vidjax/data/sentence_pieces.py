"""Texts -> numbers of tokens by a SentencePiece model, for VideoPrism's video-text network.

Kudo and Richardson, "SentencePiece" (2018), https://arxiv.org/abs/1808.06226, by the library sentencepiece.
"""

import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidjax.extras import needs

PADDING = -1
NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


class SentencePieces:
    """VideoPrism's tokenizer: tokenize_texts and canonicalize_text of github.com/google-deepmind/videoprism.

    Args:
        path: a SentencePiece model, such as sentencepiece.model.

    Raises:
        ValueError: if the file cannot be read, or the library sentencepiece is not installed.
    """

    def __init__(self, path: Path):
        library = needs("sentencepiece", "text")
        self.path = path
        self._model = library.SentencePieceProcessor()
        try:
            self._model.LoadFromSerializedProto(path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{path} is not a SentencePiece model ({error}): give a sentencepiece.model.") from None
        self.size = self._model.GetPieceSize()
        if not self.size:
            raise ValueError(f"{path} is not a SentencePiece model, it has no tokens: give a sentencepiece.model.")

    def __call__(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Returns int32 (N, length): the tokens of the `canonical` texts, then PADDING. Longer texts are cut.

        A start comes first if the model has one. There is no end.

        Raises:
            ValueError: for an empty text.
        """
        start = [self._model.bos_id()] if self._model.bos_id() >= 0 else []
        tokens = np.full((len(texts), length), PADDING, np.int32)
        for row, text in enumerate(texts):
            if not text.strip():
                raise ValueError("A text is empty: give words.")
            ids = (start + self._model.EncodeAsIds(canonical(text)))[:length]
            tokens[row, : len(ids)] = ids
        return tokens


def canonical(text: str) -> str:
    """Two_people  shake HANDS! -> two people shake hands."""
    return " ".join(text.translate(NO_PUNCTUATION).lower().split()) + "."
