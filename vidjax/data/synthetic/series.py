"""A series of numbers -> records of windows for forecasting.

    python -m vidjax.data.synthetic.series airline --out data/airline
    python -m vidjax.data.synthetic.series FILE.csv --window 24 --horizon 3 --out data/mine

A record holds `window` consecutive values and the `horizon` values that follow. They are standardised with the mean and
standard deviation of the training part (of its logarithms with --log). `dataset.json` stores both, so that metrics can
be reported in the unit of the series.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidjax.data import dataset_info, records, tfrecords

PREFIX, TARGET = "SERIES", "TARGET"  # prefixes of the features in a record
FOLDS = {  # choose a network on val, then train it on all but the test values
    "choose": [{"train": ["train"], "test": ["val"]}],
    "test": [{"train": ["train", "val"], "test": ["test"]}],
}

# Thousands of international airline passengers per month, 1949 to 1960: Box and Jenkins, "Time Series Analysis:
# Forecasting and Control" (1976), series G
AIRLINE = (
    *(112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118),
    *(115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140),
    *(145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166),
    *(171, 180, 193, 181, 183, 218, 230, 242, 209, 191, 172, 194),
    *(196, 196, 236, 235, 229, 243, 264, 272, 237, 211, 180, 201),
    *(204, 188, 235, 227, 234, 264, 302, 293, 259, 229, 203, 229),
    *(242, 233, 267, 269, 270, 315, 364, 347, 312, 274, 237, 278),
    *(284, 277, 317, 313, 318, 374, 413, 405, 355, 306, 271, 306),
    *(315, 301, 356, 348, 355, 422, 465, 467, 404, 347, 305, 336),
    *(340, 318, 362, 348, 363, 435, 491, 505, 404, 359, 310, 337),
    *(360, 342, 406, 396, 420, 472, 548, 559, 463, 407, 362, 405),
    *(417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432),
)


class Series(NamedTuple):
    """The values of a series, and the range of values to forecast in each split."""

    values: np.ndarray
    splits: dict[str, range]


def read(source: str, test_share: float = 1 / 3, val_share: float = 0.25) -> Series:
    """Loads the series "airline" or "steps" (10, 20, ..., 100), or the last column of a CSV file.

    Args:
        test_share: share of the series, at its end, for test.
        val_share: share of the rest, at its end, for val.

    Raises:
        ValueError: if the file is missing or empty, or a value is not a finite number (names its line).
    """
    if source == "steps":  # train includes 20,30,40 -> 50; test is 70,80,90 -> 100
        return Series(np.arange(10.0, 101, 10), {"train": range(6), "test": range(9, 10)})
    values = np.asarray(AIRLINE, float) if source == "airline" else read_csv(Path(source))
    test = len(values) - round(test_share * len(values))
    val = test - round(val_share * test)
    return Series(values, {"train": range(val), "val": range(val, test), "test": range(test, len(values))})


def read_csv(path: Path) -> np.ndarray:
    """The last column, float (N,); a first line without a number is a header. Raises the errors of `read`."""
    if not path.is_file():
        raise ValueError(f"{path} is neither a file nor a known series; give a CSV file, airline or steps.")
    values = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            try:
                value = float(row[-1]) if row else math.nan
            except ValueError:
                if number == 1:
                    continue
                value = math.nan
            if not math.isfinite(value):
                raise ValueError(f"{path}, line {number}: {','.join(row)!r} does not end in a number: add it.")
            values.append(value)
    if not values:
        raise ValueError(f"{path} holds no values: give one number per line.")
    return np.asarray(values)


class Scaler(NamedTuple):
    """Standardises values: (x - mean) / std, with the logarithm of x if `log` is true."""

    mean: float
    std: float
    log: bool = False

    @classmethod
    def fit(cls, values: np.ndarray, log: bool = False) -> "Scaler":
        values = np.log(values) if log else values
        return cls(float(values.mean()), float(values.std()) or 1.0, log)

    def apply(self, values: np.ndarray) -> np.ndarray:
        return ((np.log(values) if self.log else values) - self.mean) / self.std

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        values = np.asarray(scaled, float) * self.std + self.mean
        return np.exp(values) if self.log else values


def windows(values: np.ndarray, window: int, horizon: int, of: range) -> list[tuple[np.ndarray, np.ndarray]]:
    """The windows whose forecasts lie in the range `of`: pairs of arrays (window,) and (horizon,).

    Raises:
        ValueError: if there are none.
    """
    starts = window_starts(of, window, horizon)
    if not starts:
        raise ValueError(
            f"A window of {window} and a horizon of {horizon} do not fit in values {of.start} to {of.stop - 1}: use a "
            "shorter window or a longer series."
        )
    return [(values[i : i + window], values[i + window : i + window + horizon]) for i in starts]


def baselines(series: Series, window: int, horizon: int, period: int) -> dict[str, float]:
    """Root mean square errors of two forecasts of the test part: the last known value, and the last known period.

    A horizon longer than the period repeats the last known period.
    """
    values, errors = series.values, {"last value": []}
    for start in window_starts(series.splits["test"], window, horizon):
        known = start + window
        ahead = np.arange(horizon)
        future = values[known : known + horizon]
        errors["last value"].append(future - values[known - 1])
        if known >= period:
            errors.setdefault(f"{period} before", []).append(future - values[known - period + ahead % period])
    return {name: float(np.sqrt(np.square(error).mean())) for name, error in errors.items()}


def window_starts(of: range, window: int, horizon: int) -> range:
    """The starts of the windows whose forecasts lie in the range `of`."""
    return range(max(of.start - window, 0), of.stop - window - horizon + 1)


def write_records(series: Series, out: Path, *, window: int, horizon: int, log: bool, source: str, period: int) -> dict:
    """Writes one shard of windows per split.

    Returns:
        `DatasetInfo.inputs`, as written to `dataset.json`.

    Raises:
        ValueError: if a split has no windows, or with `log` a value is not positive.
    """
    if log and (series.values <= 0).any():
        raise ValueError(f"--log needs positive values; the smallest is {series.values.min():g}. Leave out --log.")
    scaler = Scaler.fit(series.values[: series.splits["train"].stop], log)
    scaled = scaler.apply(series.values)
    pairs = {name: windows(scaled, window, horizon, of) for name, of in series.splits.items()}
    inputs = {"prefix": PREFIX, "width": 1, "target": TARGET, "source": source, "scaler": scaler._asdict()}
    inputs |= {"baselines": baselines(series, window, horizon, period)}
    labels = [f"{i} ahead" for i in range(1, horizon + 1)]
    out.mkdir(parents=True, exist_ok=True)
    for name, of_split in pairs.items():
        examples = [
            records.Example((), (), media_id=f"{source} {i}", features={PREFIX: past[:, None], TARGET: future[:, None]})
            for i, (past, future) in enumerate(of_split)
        ]
        tfrecords.write_shard(out / f"{name}-00000-of-00001.tfrecord", map(records.encode, examples))
    dataset_info.write(out, dataset_info.DatasetInfo(labels, "forbidden", inputs=inputs, folds=FOLDS), complete=True)
    return inputs


def main(argv: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="vidjax series", description="Writes a series of numbers as records for forecasting."
    )
    parser.add_argument("source", help="airline, steps, or a CSV file whose last column is the series")
    parser.add_argument("--out", type=Path, required=True, help="directory of the records")
    parser.add_argument("--window", type=int, default=12, help="values that a forecast sees (default 12)")
    parser.add_argument("--horizon", type=int, default=1, help="values to forecast (default 1)")
    parser.add_argument("--period", type=int, default=12, help="period that the baseline repeats (default 12)")
    parser.add_argument(
        "--test_share", type=float, default=1 / 3, help="share of the series, at its end, for test (default 1/3)"
    )
    parser.add_argument(
        "--val_share", type=float, default=0.25, help="share of the rest, at its end, for val (default 1/4)"
    )
    parser.add_argument("--log", action="store_true", help="use logarithms: for series that grow by a factor")
    args = parser.parse_args(argv)
    try:
        if min(args.window, args.horizon, args.period) < 1:
            raise ValueError(
                f"--window {args.window}, --horizon {args.horizon}, --period {args.period}: give at least 1."
            )
        if not (0 < args.test_share < 1 and 0 < args.val_share < 1):
            raise ValueError(
                f"--test_share {args.test_share:g}, --val_share {args.val_share:g}: give shares between 0 and 1."
            )
        series = read(args.source, args.test_share, args.val_share)
        sizes = {"window": args.window, "horizon": args.horizon, "period": args.period}
        inputs = write_records(series, args.out, **sizes, log=args.log, source=args.source)
    except ValueError as error:
        sys.exit(f"vidjax.data.synthetic.series: {error}")
    print(f"{args.out}: {len(series.values)} values; root mean square error on the test part")
    for name, error in inputs["baselines"].items():
        print(f"  {name:12} {error:8.2f}")


if __name__ == "__main__":
    main()
