"""Selects predictions of runs for the report, mistakes first, with frames and Grad-CAM maps."""

import base64
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vidjax import config as configs
from vidjax.data import clips, pipeline, video
from vidjax.evaluation import predictions
from vidjax.inference import gradcam, restore, rollout
from vidjax.report.entries import Entry, trainings_in

FRAMES, HEIGHT = 8, 64  # of a strip: largest number of frames, and pixels


ROLLOUT = "attention rollout"


class Map(NamedTuple):
    """Where a network, or one of its streams, looks: a strip in base64, by a method such as "Grad-CAM of layer3_1"."""

    stream: str
    method: str
    strip: str


class Example(NamedTuple):
    """A row of predictions.csv, a strip of frames of its video in base64 ("" without frames), and maps."""

    row: dict
    frames: str = ""
    maps: Sequence[Map] = ()


class Predictions(NamedTuple):
    """Predictions for the test videos, the most confident mistakes first.

    Attributes:
        who: a run, several folds, or the directory of a fusion or a classifier.
        files: their predictions.csv.
        rows: see `predictions.read`, each with the run whose test records contain its video, or None.
        has_network: whether the networks of these runs made the predictions.
    """

    who: str
    files: list[Path]
    rows: list[tuple[dict, Path | None]]
    has_network: bool


# ------------------------------------------------------------------------------------------------ files -> predictions


def predictions_of(entry: Entry) -> Predictions | None:
    """Returns the predictions of the first run of an entry; None without any.

    For a cross-validation these are all folds of the first seed. The predictions of a fusion or a classifier are in its
    own directory, and their videos are those of its first member.

    Raises:
        ValueError: if a predictions.csv cannot be read.
    """
    for place in entry.places:
        if (place / "predictions.csv").exists() and not (place / "config.json").exists():
            rows = with_runs(read(place), folds_of_first_seed(entry.members[0]) if entry.members else [])
            return Predictions(str(place), [place / "predictions.csv"], rows, has_network=False)
        runs = [run for run in folds_of_first_seed(place) if (run / "predictions.csv").exists()]
        if runs:
            rows = [(row, run) for run in runs for row in read(run)]
            rows.sort(key=lambda pair: (pair[0]["true"] == pair[0]["predicted"], -pair[0]["score"]))
            who = str(place) if runs == [place] else f"the {len(runs)} folds of {runs[0].parent}"
            return Predictions(who, [run / "predictions.csv" for run in runs], rows, has_network=True)
    return None


def folds_of_first_seed(place: Path) -> list[Path]:
    """Returns [place] for a run, the folds of the first seed for a cross-validation."""
    runs = trainings_in(place)
    return [run for run in runs if run.parent == runs[0].parent]


def with_runs(rows: Sequence[dict], runs: Sequence[Path]) -> list[tuple[dict, Path | None]]:
    """Returns each row with the run that tested its video (None without runs) and the number of the video there."""
    if len(runs) < 2:
        return [(row, runs[0] if runs else None) for row in rows]
    tested = {other["video"]: (run, other["number"]) for run in runs for other in predictions.read(run)}
    found = [(row, *tested.get(row["video"], (runs[0], row["number"]))) for row in rows]
    return [({**row, "number": number}, run) for row, run, number in found]


def read(place: Path) -> list[dict]:
    """Reads a predictions.csv like `predictions.read`. Raises a ValueError, with the path, if it is not valid."""
    path = place / "predictions.csv"
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            heads = next(csv.reader(file), [])
        if missing := [name for name in predictions.COLUMNS if name not in heads]:
            raise ValueError(f"lacks the columns {', '.join(missing)}")
        return predictions.read(place)
    except (ValueError, TypeError, OSError) as error:
        again = f"python -m vidjax.evaluate --workdir {place}"
        raise ValueError(f"{path} cannot be read ({error}). Evaluate again: {again}") from None


# ------------------------------------------------------------------------------------------------------ videos of a run


class Videos:
    """The test videos of a run. Raises a ValueError if its records are not found."""

    def __init__(self, run: Path):
        config, _, _ = configs.read(run)
        self.arguments = {**configs.clip_of(config), "num_views": 1, "num_crops": 1}
        self.streams = self.arguments.pop("streams", ("video",))
        if not Path(config.dataset).exists():
            raise ValueError(
                f"No frames of the test videos of {config.dataset}: these records are not found from {Path.cwd()}. "
                "Run vidjax.report in the directory where training ran."
            )
        self.source = pipeline.open_records(config.dataset, config.test_splits)
        self.directory = config.dataset

    def batch(self, number: int) -> dict:
        """Returns the network's input for the middle clip of a video, as a batch of one; {} for stored features."""
        if "prefix" in self.source.info.inputs:
            return {}
        clip = clips.eval_clips(self.source[number], self.source.info, **self.arguments, streams=self.streams)
        return {name: x for name, x in clip.items() if name in ("video", "flow")}

    def number_of(self, row: dict) -> int:
        """Returns the number of a row's video. Raises a ValueError if the records hold another video there."""
        number = row["number"]
        if not (0 <= number < len(self.source)) or self.source[number].media_id != row["video"]:
            raise ValueError(
                f"No frames of video {number}: {self.directory} now holds another one than {row['video']}."
            )
        return number

    def frames(self, number: int) -> np.ndarray:
        """Returns the frames of that clip, uint8 (T, H, W, 3); if the records have none, those of the video file.

        Raises:
            ValueError: if the video file does not exist.
        """
        example = self.source[number]
        if not len(example.images):
            return frames_of_file(Path(example.media_id))
        streams = tuple(dict.fromkeys(("video", *self.streams)))  # with flow, so that the clip is the same
        return clips.eval_clips(example, self.source.info, **self.arguments, streams=streams)["video"][0]


def frames_of_file(path: Path) -> np.ndarray:
    """Returns the frames of a video file, uint8 (T, H, W, 3). Raises a ValueError if it does not exist."""
    if not path.is_file():
        raise ValueError(
            f"No frames of the videos in {path.parent}: these files are not found from {Path.cwd()}. "
            "Run vidjax.report in the directory where their records were made."
        )
    return video.read_video(path, short_side=HEIGHT).frames


class HeatMaps:
    """Maps of the network of a run, which is restored and compiled at the first call of `heat_of`."""

    def __init__(self, run: Path):
        self.run, self.network, self.grad_cam, self.rollout = run, None, None, None

    def heat_of(self, batch: dict, label: str) -> dict[tuple[str, str], gradcam.Heat]:
        """Returns the heat for a class by (stream, method), see `Map`; {} for a network without maps.

        The methods are Grad-CAM, and attention rollout for a transformer that has it.
        """
        if not any(x.ndim == 5 for x in batch.values()):
            return {}
        if self.network is None:
            network = self.network = restore.from_run(self.run)
            how = {"model": network.model, "spec": network.preprocess}
            self.grad_cam = gradcam.make_grad_cam(network.params, network.model_state, batch, **how)
            self.rollout = rollout.make_rollout(network.params, network.model_state, batch, **how)
        if self.grad_cam is None:
            return {}
        heat = self.grad_cam.heat_of(batch, self.network.labels.index(label))
        found = {(stream, f"Grad-CAM of {layer}"): heat[stream] for stream, layer in self.grad_cam.layers.items()}
        return found if self.rollout is None else {**found, ("", ROLLOUT): self.rollout(batch)}


# --------------------------------------------------------------------------------------------- predictions -> examples


def select(found: Predictions, count: int) -> list[tuple[dict, Path | None]]:
    """Returns the `count` most confident mistakes, then a third as many correct predictions, but at least one."""
    wrong = [row for row in found.rows if row[0]["true"] != row[0]["predicted"]]
    right = [row for row in found.rows if row[0]["true"] == row[0]["predicted"]]
    return wrong[:count] + right[: max(1, count // 3)] if count else []


def examples_of(found: Predictions, count: int, with_maps: bool) -> tuple[list[Example], list[str]]:
    """Returns the selected predictions with pictures, and notes that say which pictures are missing and why.

    The first mistake and the first correct prediction of a convolutional network get maps for the predicted class.
    Failures never raise: the example then has no frames or maps, and a note.
    """
    examples, notes, open_videos, networks, mapped = [], [], {}, {}, set()
    for row, run in select(found, count):
        frames, heat, is_right = None, {}, row["true"] == row["predicted"]
        try:
            if run is None:
                frames = frames_of_file(Path(row["video"]))
            else:
                if run not in open_videos:
                    open_videos[run] = None  # stays if opening fails, so that it is noted once
                    open_videos[run] = Videos(run)
                if of_run := open_videos[run]:
                    number = of_run.number_of(row)
                    frames = of_run.frames(number)
        except (ValueError, OSError) as error:
            notes.append(str(error))
        if frames is None:
            examples.append(Example(row))
            continue
        needs_map = with_maps and found.has_network and is_right not in mapped
        if needs_map and run and (run / "checkpoints").exists():
            mapped.add(is_right)
            try:
                heat = networks.setdefault(run, HeatMaps(run)).heat_of(open_videos[run].batch(number), row["predicted"])
            except Exception as error:  # out of memory, a checkpoint of another network: the page is written anyway
                with_maps = False
                notes.append(f"No Grad-CAM maps of {run}: {' '.join(str(error).split())[:300]}")
        columns = shown_frames(len(frames), [of_stream.is_used for of_stream in heat.values()])
        maps = [Map(*names, strip(frames, columns, of_stream)) for names, of_stream in heat.items()]
        examples.append(Example(row, strip(frames, columns), maps))
    return examples, list(dict.fromkeys(notes))


def shown_frames(num_frames: int, is_used: Sequence[np.ndarray] = ()) -> list[int]:
    """Returns the frames that a strip shows, at most `FRAMES`: first the used frames of the stream that uses fewest.

    Args:
        is_used: bool (T,) per stream, see `gradcam.Heat`.
    """
    few = np.flatnonzero(min(is_used, key=np.sum)) if is_used else np.arange(0)
    if len(few) == num_frames:
        few = few[:0]
    few = evenly(few, FRAMES)
    others = np.setdiff1d(np.arange(num_frames), few)
    return sorted([*few.tolist(), *evenly(others, FRAMES - len(few)).tolist()])


def evenly(values: np.ndarray, count: int) -> np.ndarray:
    """Returns at most `count` evenly spaced values, including the first and the last."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]


def strip(frames: np.ndarray, columns: Sequence[int], heat: gradcam.Heat | None = None) -> str:
    """Returns frames side by side as JPEG in base64. Heat colours the frames that are used; others become pale grey.

    Args:
        frames: uint8 (T, H, W, 3); columns: indices of the frames to show.
        heat: level (T or T - 1, H', W'); with flow, the last frame has no field and is grey.
    """
    width = max(1, round(frames.shape[2] * HEIGHT / frames.shape[1]))
    pictures = []
    for i in columns:
        picture = cv2.resize(frames[i], (width, HEIGHT), interpolation=cv2.INTER_AREA)[:, :, ::-1]  # BGR
        if heat is not None and i < len(heat.level) and heat.is_used[i]:
            level = cv2.resize(heat.level[i], (width, HEIGHT))
            coloured = cv2.applyColorMap(np.round(255 * level).astype(np.uint8), cv2.COLORMAP_TURBO)
            picture = np.round(0.5 * picture + 0.5 * coloured).astype(np.uint8)
        elif heat is not None:
            grey = 0.3 * picture.mean(-1, keepdims=True) + 0.7 * 255
            picture = np.repeat(grey.round().astype(np.uint8), 3, -1)
        pictures += [picture, np.full((HEIGHT, 2, 3), 255, np.uint8)]
    jpeg = cv2.imencode(".jpg", np.concatenate(pictures[:-1], axis=1), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return base64.b64encode(jpeg.tobytes()).decode()
