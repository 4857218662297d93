"""Finds videos by a text, over stored features of a network that compares videos with texts.

    python -m vidjax.features --weights clip_vit_b32 --records data/x --num_frames 8 --out data/x_clip
    python -m vidjax.search "two people shaking hands" --features data/x_clip [--top 10] [--splits test]

Prints the videos by the cosine between the embedding of the text and that of the video: the mean of the embeddings of
its frames, each of length 1.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidjax.data import pipeline
from vidjax.data.tfrecords import find_splits
from vidjax.inference import zero_shot
from vidjax.models.clip import unit
from vidjax.progress_bar import progress_bar


def read_embeddings(source: pipeline.Records) -> np.ndarray:
    """Returns an embedding of length 1 per video, float32 (N, E).

    Raises:
        ValueError: if the records do not hold features.
    """
    if "prefix" not in source.info.inputs:
        raise ValueError("The records hold videos, not features: compute these first with vidjax.features.")
    prefix = source.info.inputs["prefix"]
    bar = progress_bar(range(len(source)), "read features", leave=False, unit="video")
    return np.stack([unit(unit(source[i].features[prefix]).mean(0)) for i in bar])


def search(texts: Sequence[str], tower: zero_shot.TextTower, embeddings: np.ndarray) -> np.ndarray:
    """Returns the cosines of texts and videos, float32 (texts, videos).

    Raises:
        ValueError: if the features are not embeddings of this network.
    """
    if embeddings.shape[-1] != tower.model.embedding:
        raise ValueError(
            f"The features have {embeddings.shape[-1]} numbers, the texts of {tower.name} {tower.model.embedding}: "
            f"compute them with vidjax.features --weights {tower.name}."
        )
    return tower(texts) @ embeddings.T


def main(argv=None):
    parser = argparse.ArgumentParser(prog="vidjax search", description="Finds videos by a text, in stored features.")
    add = parser.add_argument
    add("texts", nargs="+", metavar="TEXT", help="one or several descriptions")
    add("--features", type=Path, required=True, metavar="DIR", help="records written by `vidjax features`")
    add(
        "--weights", metavar="NAME|FILE", help="network that embeds the texts (default: the one that made the features)"
    )
    add("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json or sentencepiece.model (default: published)")
    add("--splits", nargs="+", help="splits to search (default: all)")
    add("--top", type=int, default=5, help="number of videos to print per text (default: 5)")
    add("--json", action="store_true", help="print a JSON object per text")
    args = parser.parse_args(argv)
    try:
        if args.top < 1:
            raise ValueError(f"--top {args.top} must be 1 or more.")
        source = pipeline.open_records(args.features, args.splits or find_splits(args.features))
        embeddings = read_embeddings(source)
        tower = zero_shot.TextTower(args.weights or source.info.inputs["source"], args.tokenizer)
        cosines = search(args.texts, tower, embeddings)
    except ValueError as error:
        sys.exit(f"vidjax.search: {error}")
    for text, of_text in zip(args.texts, cosines, strict=True):
        best = of_text.argsort()[::-1][: args.top].tolist()
        found = [{"video": source[i].media_id, "cosine": round(float(of_text[i]), 4)} for i in best]
        if args.json:
            print(json.dumps({"text": text, "videos": found}))
        else:
            print(text, *(f"  {x['cosine']:7.4f}  {x['video']}" for x in found), sep="\n")


if __name__ == "__main__":
    main()
