"""How the scores of a video's clips become its figure: evaluation protocols by name, for `config.eval.protocol`.

Papers cut different clips, and average probabilities or logits: figures under two protocols are not comparable. Each
result.json says how its figures were made, under `convention`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

MEANS = ("probabilities", "logits", "maximum")


class Protocol(NamedTuple):
    """An evaluation protocol.

    Attributes:
        num_views, num_crops: clips in time and crops in space of each video, see `clips.cut_views`.
        mean: the scores of a video: the mean of its clips' probabilities, the probabilities of their mean logits, or
            the maximum of their probabilities.
        level: "video", or "clip": each clip counts as a video of its own.
        charades: average precision of videos with several labels as Charades' script has it, see
            `metrics.ranked_precision`: videos without a label are left out.
    """

    num_views: int = 1
    num_crops: int = 1
    mean: str = "probabilities"
    level: str = "video"
    charades: bool = False


DEFAULT = Protocol()
PROTOCOLS = {
    "centre clip": DEFAULT,
    # Tran et al. 2015 (C3D), sections 3.2 and 4: ten clips of a video; Karpathy et al. 2014: clip hit@1
    "10 views": Protocol(10),
    "10 views, clip level": Protocol(10, level="clip"),
    # Wang et al. 2018 (Non-local Networks), section 4.1; Feichtenhofer et al. 2019 (SlowFast), section 4
    "10x3 views": Protocol(10, 3),
    "10x3 views, logits": Protocol(10, 3, "logits"),
    # Simonyan and Zisserman 2014, section 5: corners, centre and their mirror images; Wang et al. 2016 (TSN): logits
    "25 frames x 10 crops": Protocol(25, 10),
    "25 frames x 10 crops, logits": Protocol(25, 10, "logits"),
    # Charades: the maximum over clips as in SlowFast, section 4.1, and the average precision of Charades_v1_classify.m
    "charades": Protocol(10, 3, "maximum", charades=True),
}


def of(evaluation) -> Protocol:
    """Returns the protocol of `config.eval`; the default is the mean of probabilities over its views.

    Raises:
        ValueError: for an unknown name; lists those that exist.
    """
    name = evaluation.get("protocol", "")
    if name and name not in PROTOCOLS:
        raise ValueError(f"Unknown config.eval.protocol {name!r}; choose one of {', '.join(map(repr, PROTOCOLS))}.")
    views = {"num_views": evaluation.get("num_views", 1), "num_crops": evaluation.get("num_crops", 1)}
    return PROTOCOLS[name] if name else Protocol(**views)


def described(protocol: Protocol, num_frames: int | None = None, *, multi_label: bool = False) -> str:
    """Describes a protocol, such as "10 clips of 16 frames x 3 crops, mean of probabilities"; or without frames."""
    clips, crops = protocol.num_views, protocol.num_crops
    frames = f" of {num_frames} frame{'s' * (num_frames > 1)}" if num_frames else ""
    text = f"{clips} clip{'s' * (clips > 1)}{frames} x {crops} crop{'s' * (crops > 1)}"
    if clips * crops > 1:
        pooled = "maximum" if protocol.mean == "maximum" else f"mean of {protocol.mean}"
        text += ", each by itself" if protocol.level == "clip" else f", {pooled}"
    if multi_label:
        text += ", AP of labelled videos (Charades)" if protocol.charades else ", AP of all videos"
    return text


def pooled(logits: np.ndarray, mean: str, activation: Callable = jax.nn.softmax) -> np.ndarray:
    """Returns the scores of videos, float (N, K), from the logits of their clips (N, V, K).

    Args:
        mean: one of `MEANS`.
        activation: logits -> probabilities, softmax or sigmoid.

    Raises:
        ValueError: for another `mean`.
    """
    if mean not in MEANS:
        raise ValueError(f"Unknown mean {mean!r}; choose one of {', '.join(MEANS)}.")
    if mean == "logits":
        return np.asarray(activation(logits.mean(axis=1)))
    scores = np.asarray(activation(logits))
    return scores.max(axis=1) if mean == "maximum" else scores.mean(axis=1)
