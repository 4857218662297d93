"""What runs said of videos, for the report: mistakes and what was right, with frames, and where the networks look."""

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
from vidjax.inference import gradcam, restore
from vidjax.report.entries import Entry, trainings_in

FRAMES, HEIGHT = 8, 64  # of a strip: how many at most, and pixels


class Map(NamedTuple):
    """Where a network, or the stream of that name, looked in a video, by the maps of a layer: a strip as base64."""

    stream: str
    layer: str
    strip: str


class Example(NamedTuple):
    """A row of predictions.csv, and as base64 the frames of its video, "" where there are none, and maps of them."""

    said: dict
    frames: str = ""
    maps: Sequence[Map] = ()


class Said(NamedTuple):
    """What was said of the test videos, the most confident mistakes first.

    Attributes:
        who: a run, several folds, or a place of a fusion or a classifier.
        files: the predictions.csv that it is from.
        rows: of `predictions.read`, each with the run whose test records hold its video, or None; has_network tells
            whether it is that run's network that said it.
    """

    who: str
    files: list[Path]
    rows: list[tuple[dict, Path | None]]
    has_network: bool


# ----------------------------------------------------------------------------------------------- files -> what was said


def said_by(entry: Entry) -> Said | None:
    """What the first run of an entry said; of a cross-validation all folds of its first seed; None where there is none.

    What a fusion or a classifier said is in its own place, and the videos are those of its first member.

    Raises:
        ValueError: for a predictions.csv that is none.
    """
    for place in entry.places:
        if (place / "predictions.csv").exists() and not (place / "config.json").exists():
            rows = with_runs(read(place), folds_of_first_seed(entry.members[0]) if entry.members else [])
            return Said(str(place), [place / "predictions.csv"], rows, has_network=False)
        runs = [run for run in folds_of_first_seed(place) if (run / "predictions.csv").exists()]
        if runs:
            rows = [(row, run) for run in runs for row in read(run)]
            rows.sort(key=lambda pair: (pair[0]["true"] == pair[0]["predicted"], -pair[0]["score"]))
            who = str(place) if runs == [place] else f"the {len(runs)} folds of {runs[0].parent}"
            return Said(who, [run / "predictions.csv" for run in runs], rows, has_network=True)
    return None


def folds_of_first_seed(place: Path) -> list[Path]:
    """The run itself, or of a cross-validation the folds of its first seed."""
    runs = trainings_in(place)
    return [run for run in runs if run.parent == runs[0].parent]


def with_runs(rows: Sequence[dict], runs: Sequence[Path]) -> list[tuple[dict, Path | None]]:
    """Each row with the run that tested the same video, and its number there; with None where there are no runs."""
    if len(runs) < 2:
        return [(row, runs[0] if runs else None) for row in rows]
    places = {other["video"]: (run, other["number"]) for run in runs for other in predictions.read(run)}
    found = [(row, *places.get(row["video"], (runs[0], row["number"]))) for row in rows]
    return [({**row, "number": number}, run) for row, run, number in found]


def read(place: Path) -> list[dict]:
    """The rows of its predictions.csv as of `predictions.read`. Raises a ValueError where it is none; says which."""
    path = place / "predictions.csv"
    again = f"evaluate it again: python -m vidjax.evaluate --workdir {place}"
    try:
        with open(path, newline="") as file:
            heads = next(csv.reader(file), [])
        if missing := [name for name in predictions.COLUMNS if name not in heads]:
            raise ValueError(f"lacks the columns {', '.join(missing)}")
        return predictions.read(place)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {again}") from None


# ------------------------------------------------------------------------------------------------------ videos of a run


class Videos:
    """The test videos of a run. Raises a ValueError where its records are not to be found, and says what to do."""

    def __init__(self, run: Path):
        config, _, _ = configs.read(run)
        self.arguments = {**configs.clip_of(config), "num_views": 1, "num_crops": 1}
        self.streams = self.arguments.pop("streams", ("video",))
        if not Path(config.dataset).exists():
            raise ValueError(
                f"No frames are shown of what was tested on {config.dataset}: these records are not found from "
                f"{Path.cwd()}. Run vidjax.report in the directory where training ran."
            )
        self.source = pipeline.open_records(config.dataset, config.test_splits)
        self.directory = config.dataset

    def batch(self, number: int) -> dict:
        """What the network sees of a video in the middle one of its clips, a batch of one; {} of features."""
        if "prefix" in self.source.info.inputs:
            return {}
        clip = clips.eval_clips(self.source[number], self.source.info, **self.arguments, streams=self.streams)
        return {name: x for name, x in clip.items() if name in ("video", "flow")}

    def number_of(self, said: dict) -> int:
        """The number of a video in the records; raises a ValueError where they hold another video there."""
        number = said["number"]
        if not (0 <= number < len(self.source)) or self.source[number].media_id != said["video"]:
            raise ValueError(
                f"No frames of video {number}: {self.directory} holds another one than {said['video']} there by now."
            )
        return number

    def frames(self, number: int) -> np.ndarray:
        """uint8 (T, H, W, 3): the frames of that clip; of records without frames those of the file.

        Raises:
            ValueError: where that file is not there.
        """
        example = self.source[number]
        if not len(example.images):
            return frames_of_file(Path(example.media_id))
        streams = tuple(dict.fromkeys(("video", *self.streams)))  # flow is of all frames but the last: the same clip
        return clips.eval_clips(example, self.source.info, **self.arguments, streams=streams)["video"][0]


def frames_of_file(path: Path) -> np.ndarray:
    """uint8 (T, H, W, 3), the frames of a video file. Raises a ValueError where it is not there."""
    if not path.is_file():
        raise ValueError(
            f"No frames are shown of {path.parent}: the video files are not found from {Path.cwd()}. "
            "Run vidjax.report in the directory where their records were made."
        )
    return video.read_video(path, short_side=HEIGHT).frames


class Looking:
    """Where the network of a run looks; it is restored, and compiled, when it is first asked."""

    def __init__(self, run: Path):
        self.run, self.network, self.grad_cam = run, None, None

    def heat_of(self, batch: dict, label: str) -> dict[tuple[str, str], gradcam.Heat]:
        """The heat of each (stream, layer), as of `gradcam.GradCam`; {} of a network without maps."""
        if not any(x.ndim == 5 for x in batch.values()):
            return {}
        if self.network is None:
            network = self.network = restore.from_run(self.run)
            how = {"model": network.model, "spec": network.preprocess}
            self.grad_cam = gradcam.make_grad_cam(network.params, network.model_state, batch, **how)
        if self.grad_cam is None:
            return {}
        heat = self.grad_cam.heat_of(batch, self.network.labels.index(label))
        return {(stream, layer): heat[stream] for stream, layer in self.grad_cam.layers.items()}


# ------------------------------------------------------------------------------------------- what was said -> examples


def chosen(said: Said, count: int) -> list[tuple[dict, Path | None]]:
    """Its most confident mistakes, `count` at most, and then what it got right, a third as many, but one at least."""
    wrong = [row for row in said.rows if row[0]["true"] != row[0]["predicted"]]
    right = [row for row in said.rows if row[0]["true"] == row[0]["predicted"]]
    return wrong[:count] + right[: max(1, count // 3)] if count else []


def examples_of(said: Said, count: int, with_maps: bool) -> tuple[list[Example], list[str]]:
    """The `chosen` with pictures, as far as there are some, and what there is to say of those that there are not.

    Where a convolutional network looks is shown of the first mistake and of the first that is right, for the class that
    it predicts. Whatever goes wrong with that, or with the frames, is said, and the examples are without.
    """
    found, notes, open_videos, networks, mapped = [], [], {}, {}, set()
    for row, run in chosen(said, count):
        frames, heat, is_right = None, {}, row["true"] == row["predicted"]
        try:
            if run is None:
                frames = frames_of_file(Path(row["video"]))
            else:
                if run not in open_videos:
                    open_videos[run] = None  # unless they can be opened
                    open_videos[run] = Videos(run)
                if of_run := open_videos[run]:
                    number = of_run.number_of(row)
                    frames = of_run.frames(number)
        except (ValueError, OSError) as error:
            notes.append(str(error))
        wants_map = frames is not None and with_maps and said.has_network and is_right not in mapped
        if wants_map and run and (run / "checkpoints").exists():
            mapped.add(is_right)
            try:
                looking = networks.setdefault(run, Looking(run))
                heat = looking.heat_of(open_videos[run].batch(number), row["predicted"])
            except Exception as error:  # out of memory, a checkpoint of another network, ...: the page is not lost
                with_maps = False
                notes.append(f"Where the network of {run} looks is not shown: {' '.join(str(error).split())[:300]}")
        if frames is None:
            found.append(Example(row))
            continue
        columns = shown_frames(len(frames), [of_stream.is_used for of_stream in heat.values()])
        maps = [Map(*names, strip(frames, columns, of_stream)) for names, of_stream in heat.items()]
        found.append(Example(row, strip(frames, columns), maps))
    return found, list(dict.fromkeys(notes))


def shown_frames(num_frames: int, is_used: Sequence[np.ndarray] = ()) -> list[int]:
    """Which frames a strip shows, `FRAMES` at most: first those that are used, by the stream that uses the fewest.

    Args:
        is_used: bool (T,) of each stream, as of `gradcam.Heat`.
    """
    few = np.flatnonzero(min(is_used, key=np.sum)) if is_used else np.arange(0)
    if len(few) == num_frames:
        few = few[:0]
    few = evenly(few, FRAMES)
    others = np.setdiff1d(np.arange(num_frames), few)
    return sorted([*few.tolist(), *evenly(others, FRAMES - len(few)).tolist()])


def evenly(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, from the first to the last."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]


def strip(frames: np.ndarray, columns: Sequence[int], heat: gradcam.Heat | None = None) -> str:
    """Frames side by side, JPEG as base64; with the heat over them, and those that are not used in grey, paled.

    Args:
        frames: uint8 (T, H, W, 3); columns: which of them.
        heat: level (T or T - 1, H', W'): of flow, the last frame has no field of its own, and is grey.
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
