"""Pictures of what rungs see, for ladders whose test videos have levels."""

import base64
from collections.abc import Sequence

import cv2

from vidjax.data.synthetic.sight.sheet import sheet
from vidjax.evaluation.profile import range_text
from vidjax.ladder import profile_plots
from vidjax.ladder.profiles import PICTURES
from vidjax.report.page import Picture
from vidjax.report.pictures import as_png


def of_ladder(rows: Sequence[dict]) -> list[Picture]:
    """Returns the matrix and the curves of all rows of ladder.json that have a profile; [] without any."""
    rows = [row for row in rows if row.get("profile")]
    drawn = (profile_plots.matrix, profile_plots.curves) if rows else ()
    return [Picture(as_png(draw, rows), caption) for draw, caption in zip(drawn, PICTURES.values(), strict=False)]


def of_rung(row: dict) -> list[Picture]:
    """Returns the curve of a row of ladder.json, and sample clips of its dial; [] without a profile."""
    if not row.get("profile"):
        return []
    text = f"Accuracy by level and its 95 % interval; 75 % or more: {range_text(row['profile'])}"
    png = cv2.imencode(".png", sheet(row["dial"])[:, :, ::-1])[1].tobytes()
    samples = f"Sample clips of {row['dial']} by {profile_plots.unit_of(row['dial'])}, time from left to right"
    return [Picture(as_png(profile_plots.curve, row), text), Picture(base64.b64encode(png).decode(), samples)]
