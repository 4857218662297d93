"""Writes captions by greedy search or beam search."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vidjax import compile_options
from vidjax.data.clips import Clip
from vidjax.inference import restore
from vidjax.models.captioner import Captioner
from vidjax.preprocess import preprocess

END = 0  # the word that ends a caption; it is also the input before the first word
Step = Callable[[Any, np.ndarray], tuple[Any, np.ndarray]]


def beam_search(step: Step, state: Any, *, beams: int, length: int) -> tuple[list[int], float]:
    """Returns the most probable sequence that a beam search finds. One beam is greedy search.

    Args:
        step: (state, last word of each beam (beams,)) -> next state, log probabilities (beams, V).
        state: state before the first word; the first axis of each array is the beams.
        beams: number of partial sequences that are kept after each word.
        length: maximum number of words, without the end.

    Returns:
        The words without the end, and the log probability of the words and the end.
    """
    words = np.zeros((beams, 0), int)
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # all beams start equal: keep one
    ended = np.zeros(beams, bool)
    for position in range(length + 1):
        last = words[:, -1] if words.shape[1] else np.full(beams, END)
        state, log_probabilities = step(state, last)
        total = scores[:, None] + np.asarray(log_probabilities, float)  # (beams, V)
        if position == length:
            total[:, np.arange(total.shape[1]) != END] = -np.inf
        total[ended] = -np.inf
        total[ended, END] = scores[ended]  # finished sequences do not change
        best = np.argsort(-total, axis=None, kind="stable")[:beams]
        rows, next_words = np.divmod(best, total.shape[1])
        words, scores = np.concatenate([words[rows], next_words[:, None]], axis=1), total.flat[best]
        ended = next_words == END
        state = jax.tree.map(lambda x, rows=rows: x[rows], state)
        if ended[0]:
            break
    sequence = words[0].tolist()
    return sequence[: sequence.index(END)], float(scores[0])


def make_writer(run: restore.Trained, beams: int = 1) -> Callable[[Clip], tuple[str, float]]:
    """Returns the function from one clip, `video` uint8 (1, T, H, W, 3), to its caption and the caption's probability.

    Raises:
        ValueError: if the network does not write captions, or `beams` is below 1.
    """
    if not isinstance(run.model, Captioner):
        raise ValueError(f"{run.name} classifies videos; it does not write captions.")
    if beams < 1:
        raise ValueError(f"--beams {beams} must be 1 or more.")
    variables = {"params": run.params, **run.model_state}

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(run.model))
    def encode(variables, clip):
        inputs = preprocess(clip, run.preprocess, run.model.dtype)
        return run.model.apply(variables, **inputs, method="encode")

    @jax.jit
    def advance(variables, carry, encoded, last):
        encoded = jnp.repeat(encoded, len(last), axis=0)
        logits, carry = run.model.apply(variables, encoded, last[:, None], carry, method="decode")
        return carry, jax.nn.log_softmax(logits[:, 0].astype(jnp.float32))

    def write(clip: Clip) -> tuple[str, float]:
        encoded = encode(variables, clip)
        step = lambda state, last: advance(variables, state, encoded, jnp.asarray(last))  # noqa: E731
        words, score = beam_search(step, None, beams=beams, length=run.inputs["caption_length"] - 1)
        return sentence([run.labels[word] for word in words]), float(np.exp(score))

    return write


def sentence(words: Sequence[str]) -> str:
    """Joins words; commas follow the word before them: "a", ",", "b" -> "a, b"."""
    return " ".join(words).replace(" ,", ",")
