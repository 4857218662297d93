"""Writes captions: word by word, the likeliest first, or the best of several at a time (beam search)."""

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

END = 0  # the word that ends a caption, and stands before its first
Step = Callable[[Any, np.ndarray], tuple[Any, np.ndarray]]


def beam_search(step: Step, state: Any, *, beams: int, length: int) -> tuple[list[int], float]:
    """The likeliest sequence that is found when at each word the `beams` likeliest beginnings are kept.

    With one beam it is the greedy search.

    Args:
        step: (state, the last word of each beginning (beams,)) -> the next state, log probabilities (beams, V).
        state: before the first word; arrays whose first axis is the beams.
        length: most words, the end not counted.

    Returns:
        The words without the end, and the logarithm of the probability of them and the end.
    """
    words = np.zeros((beams, 0), int)
    scores = np.where(np.arange(beams) == 0, 0.0, -np.inf)  # all are equal at first: one counts
    ended = np.zeros(beams, bool)
    for position in range(length + 1):
        last = words[:, -1] if words.shape[1] else np.full(beams, END)
        state, log_probabilities = step(state, last)
        total = scores[:, None] + np.asarray(log_probabilities, float)  # (beams, V)
        if position == length:
            total[:, np.arange(total.shape[1]) != END] = -np.inf
        total[ended] = -np.inf
        total[ended, END] = scores[ended]  # what has ended stays as it is
        best = np.argsort(-total, axis=None, kind="stable")[:beams]
        rows, following = np.divmod(best, total.shape[1])
        words, scores = np.concatenate([words[rows], following[:, None]], axis=1), total.flat[best]
        ended = following == END
        state = jax.tree.map(lambda x, rows=rows: x[rows], state)
        if ended[0]:
            break
    sequence = words[0].tolist()
    return sequence[: sequence.index(END)], float(scores[0])


def make_writer(run: restore.Trained, beams: int = 1) -> Callable[[Clip], tuple[str, float]]:
    """Returns the function from one clip, `video` uint8 (1, T, H, W, 3), to its caption and the probability of that.

    Raises:
        ValueError: where the network writes no captions, or for no beam.
    """
    if not isinstance(run.model, Captioner):
        raise ValueError(f"{run.name} names classes and writes no captions.")
    if beams < 1:
        raise ValueError(f"--beams {beams}: at least one.")
    variables = {"params": run.params, **run.model_state}
    decoder = run.model.clone(stateful=True)

    @functools.partial(jax.jit, compiler_options=compile_options.of_inference(run.model))
    def encode(variables, clip):
        inputs = preprocess(clip, run.preprocess, run.model.dtype)
        return run.model.apply(variables, **inputs, method="encode")

    @jax.jit
    def advance(variables, state, described, last):
        described = jnp.repeat(described, len(last), axis=0)
        logits, state = decoder.apply(
            {**variables, **state}, described, last[:, None], method="decode", mutable=["carry"]
        )
        return dict(state), jax.nn.log_softmax(logits[:, 0].astype(jnp.float32))

    def write(clip: Clip) -> tuple[str, float]:
        described = encode(variables, clip)
        step = lambda state, last: advance(variables, state, described, jnp.asarray(last))  # noqa: E731
        words, score = beam_search(step, {}, beams=beams, length=run.inputs["caption_length"] - 1)
        return sentence([run.labels[word] for word in words]), float(np.exp(score))

    return write


def sentence(words: Sequence[str]) -> str:
    """ "a", ",", "b" -> "a, b"."""
    return " ".join(words).replace(" ,", ",")
