"""Rows of predictions.csv for videos that have levels."""

from collections.abc import Mapping, Sequence


def rows_of(right: Mapping[float, tuple[int, int]], classes: Sequence[str] = ("a", "b")) -> list[dict]:
    """Returns rows in which, at each level, so many of so many videos are right; the classes alternate."""
    rows = []
    for level, (good, count) in right.items():
        for i in range(count):
            true, other = classes[i % len(classes)], classes[(i + 1) % len(classes)]
            row = {"number": len(rows), "video": f"videos/test/level_{level:g}/{true}/{i:04d}.mp4", "true": true}
            rows.append(row | {"predicted": true if i < good else other, "score": 0.5, "score_of_true": 0.5})
    return rows
