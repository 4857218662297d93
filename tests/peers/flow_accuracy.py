"""Measures optical flow: against exact truth, against OpenCV, and against the flow that DeepMind published.

    python tests/peers/flow_accuracy.py [--out accuracy.json]         needs vidjax and its test data, takes a while
    python tests/peers/flow_accuracy.py --records DIR      only writes the pairs of 1. as records, in colour, for
                                                           vidjax.evaluation.flow_methods; true to 1/64 pixel

1. Real frames and the same ones moved by a known affine motion: mean end-point error, pixels. 8 bits, 256x256, cut out
   of larger ones so that whatever comes into sight is real too. The second frame is resampled by Lanczos of 8x8 pixels
   at exact positions (cv2.remap would round them to 1/32). PyrLK, which follows points, follows every 4th pixel.
2. Consecutive frames of real videos: how far our Farneback and TV-L1 are from OpenCV's.
3. TV-L1 of the RGB clip of kinetics-i3d against the flow clip beside it: correlation of u and of v. The GIF keeps u in
   red and v in green (blue is always 127), in 256 colours a frame, so that they are rounded coarsely. Nowhere is said
   how many levels are a pixel: read as the levels of `flow.from_levels`, which are 6.375, the flow is about twice too
   long. So the factor is printed with which it brings the frames together best.

The test data is where VIDJAX_TEST_DATA says.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vidjax import flow
from vidjax.data import dataset_info, flow_files, records, tfrecords, video
from vidjax.data.sources import flow_datasets
from vidjax.flow import opencv

SIZE = 256  # pixels, of the frames whose motion is known
MARGIN = 28  # pixels: the longest displacement is 24, Lanczos sees 4 further
BORDER = 16  # pixels, left out in the second column
CROP = 224  # pixels, of the frames whose motion is not known
METHODS = {**flow.METHODS, **opencv.METHODS}
TWINS = {"farneback": "opencv_farneback", "tvl1": "opencv_tvl1", "lucas_kanade at points": "opencv_pyrlk at points"}
FRAMES = {
    "clips/v_CricketShot_g04_c01_rgb.gif": 40,
    "clips/v_ApplyEyeMakeup_g01_c01.avi": 80,
    "clips/v_BaseballPitch_g01_c01.avi": 50,
    "ut_interaction/10_2_1.avi": 60,
}
INTERACTIONS = ("0_11_4", "0_1_4", "10_12_4", "10_2_1", "11_12_2")


def motions() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name, mean length -> the matrix A and the shift t of the motion A p + t, p from the middle of the frame."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    far, high = np.hypot(x, y).mean(), np.abs(y).mean()

    def turn(length):
        angle = 2 * np.arcsin(length / far / 2)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) - np.eye(2)

    oblique = np.array([np.cos(np.deg2rad(30)), np.sin(np.deg2rad(30))])
    lengths = (0.1, 1, 3, 6, 12)
    return {
        **{f"shift {length}": (np.zeros((2, 2)), length * oblique) for length in (0.1, 0.5, 1, 3, 6, 12)},
        **{f"rotation {length}": (turn(length), np.zeros(2)) for length in lengths},
        **{f"zoom {length}": (length / far * np.eye(2), np.zeros(2)) for length in lengths},
        **{f"shear {length}": (np.array([[0, length / high], [0, 0]]), np.zeros(2)) for length in lengths},
    }


def lanczos(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The image (H, W) at positions (...), by Lanczos's kernel of 8x8 pixels, which all have to be inside."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)

    def weights(t):
        offsets = t[..., None] - np.arange(-3, 5)
        values = np.sinc(offsets) * np.sinc(offsets / 4)
        return values / values.sum(-1, keepdims=True)

    weights_x, weights_y = weights(x - left), weights(y - top)
    assert min(left.min(), top.min()) >= 3 and max(left.max() + 4 - image.shape[1], top.max() + 4 - image.shape[0]) < 0
    rows = (
        sum(weights_x[..., i] * image[top + j - 3, left + i - 3].astype(np.float64) for i in range(8)) for j in range(8)
    )
    return sum(weights_y[..., j] * row for j, row in enumerate(rows))


def moved_pair(picture: np.ndarray, matrix: np.ndarray, shift: np.ndarray):
    """Two frames (H, W), uint8, of a picture larger by MARGIN on each side, and truth (H, W, 2).

    What is at p in the first is at p + truth(p) in the second: matrix p + shift, p from the middle.
    """
    middle = (np.array(picture.shape[::-1]) - 2 * MARGIN - 1) / 2  # x, y
    points = np.moveaxis(np.indices(picture.shape)[::-1], 0, -1)[: -2 * MARGIN, : -2 * MARGIN] - middle  # (H, W, 2)
    before = (points - shift) @ np.linalg.inv(np.eye(2) + matrix).T + middle + MARGIN
    second = lanczos(picture, before[..., 0], before[..., 1]).round().clip(0, 255).astype(np.uint8)
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN], second, points @ matrix.T + shift


def to_grey(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def large_picture(path: Path, index: int, colours: Callable = to_grey) -> np.ndarray:
    """The middle of a frame, by default in grey, enlarged where it is too small."""
    picture, needed = colours(video.read_video(path).frames[index]), SIZE + 2 * MARGIN
    shape = picture.shape[:2]
    if min(shape) < needed:
        scale = needed / min(shape)
        size = [max(needed, round(side * scale)) for side in shape]
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC)
    top, left = ((side - needed) // 2 for side in picture.shape[:2])
    return picture[top : top + needed, left : left + needed]


def write_records(data: Path, out: Path):
    """Writes the pairs of known motion as records, in colour."""

    def examples():
        for path, index in FRAMES.items():
            picture = large_picture(data / path, index, colours=lambda frame: frame)
            for motion, (matrix, shift) in motions().items():
                moved = [moved_pair(picture[..., channel], matrix, shift) for channel in range(3)]
                frames, truth = [np.stack(images, -1) for images in list(zip(*moved, strict=True))[:2]], moved[0][2]
                pngs = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]
                field = flow_files.to_png(truth.astype(np.float32), np.ones(truth.shape[:2], bool))
                size = {"height": SIZE, "width": SIZE}
                yield records.encode(records.Example(pngs, (), media_id=f"{path} {motion}", true_flow=[field], **size))

    out.mkdir(parents=True, exist_ok=True)
    tfrecords.write_shard(tfrecords.shard_path(out, "test", 0, 1), examples())
    dataset_info.write(out, dataset_info.DatasetInfo([], "unchanged", inputs=flow_datasets.INPUTS), complete=True)


def pyrlk(first: np.ndarray, second: np.ndarray):
    """Flow at every 4th pixel of frames (H, W), (H / 4, W / 4, 2), and whether OpenCV could follow it."""
    y, x = np.mgrid[: first.shape[0] : 4, : first.shape[1] : 4]
    points = np.stack([x, y], -1).astype(np.float32)
    grid = points.shape[:2]
    after, status, _ = cv2.calcOpticalFlowPyrLK(
        first, second, points.reshape(-1, 1, 2), None, winSize=(21, 21), maxLevel=3
    )
    return after.reshape(*grid, 2) - points, status.reshape(grid) == 1


def against_truth(data: Path) -> list[dict]:
    """Mean end-point errors: one row a frame, motion and method."""
    rows = []
    for path, index in FRAMES.items():
        picture = large_picture(data / path, index)
        for motion, (matrix, shift) in motions().items():
            first, second, truth = moved_pair(picture, matrix, shift)
            errors = {}
            for name, method in METHODS.items():
                errors[name] = np.linalg.norm(np.asarray(method(first, second)) - truth, axis=-1)
            points, is_found = pyrlk(first, second)
            of_points = np.linalg.norm(points - truth[::4, ::4], axis=-1)
            errors["opencv_pyrlk at points"] = np.where(is_found, of_points, np.nan)
            errors["lucas_kanade at points"] = np.where(is_found, errors["lucas_kanade"][::4, ::4], np.nan)
            for name, error in errors.items():
                edge = BORDER // (SIZE // len(error))
                inside = error[edge:-edge, edge:-edge]
                figures = {"whole": float(np.nanmean(error)), "inside": float(np.nanmean(inside))}
                rows.append({"frame": path, "motion": motion, "method": name, **figures})
            print(f"{path} {motion}: {is_found.mean():.1%} of the points followed", flush=True)
    return rows


def print_errors(rows: list[dict]):
    methods, names = list(dict.fromkeys(row["method"] for row in rows)), list(motions())

    def mean(key, method, motion=None):
        return np.mean([row[key] for row in rows if row["method"] == method and motion in (None, row["motion"])])

    for key, title in (("whole", "the whole frame"), ("inside", f"all but a border of {BORDER} pixels")):
        print(f"\nMean end-point error, pixels, {title}; mean of {len(FRAMES)} frames")
        for i in range(0, len(methods), 5):
            print(f"{'motion, mean pixels':20}" + "".join(f"{method:>24}" for method in methods[i : i + 5]))
            for motion in [*names, None]:
                values = "".join(f"{mean(key, method, motion):24.3f}" for method in methods[i : i + 5])
                print(f"{motion or 'all':20}{values}")
        print(f"\nMore than 0.05 pixels worse than OpenCV's, {title}:")
        figures = {(row["frame"], row["motion"], row["method"]): row[key] for row in rows}
        for (frame, motion, method), error in figures.items():
            if method in TWINS and error > figures[frame, motion, TWINS[method]] + 0.05:
                print(f"  {method}, {frame}, {motion}: {error:.3f}, not {figures[frame, motion, TWINS[method]]:.3f}")


def middle(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) -> (T, CROP, CROP), grey."""
    top, left = ((side - CROP) // 2 for side in frames.shape[1:3])
    return np.stack([to_grey(frame) for frame in frames[:, top : top + CROP, left : left + CROP]])


def against_opencv(data: Path) -> list[dict]:
    """Three pairs a video: mean difference of u and v, and of end points, between our flow and OpenCV's."""
    rows = []
    for path in [*list(FRAMES)[:3], *(f"ut_interaction/{name}.avi" for name in INTERACTIONS)]:
        frames = video.read_video(data / path).frames
        starts = [len(frames) * quarter // 4 for quarter in (1, 2, 3)]
        pairs = [middle(frames[start : start + 2]) for start in starts]
        for method in ("farneback", "tvl1"):
            ours = np.stack([np.asarray(METHODS[method](*pair)) for pair in pairs])
            theirs = np.stack([METHODS[TWINS[method]](*pair) for pair in pairs])
            difference, length = ours - theirs, np.linalg.norm(theirs, axis=-1)
            rows.append(
                {
                    "video": path,
                    "method": method,
                    "absolute": float(np.abs(difference).mean()),
                    "end_point": float(np.linalg.norm(difference, axis=-1).mean()),
                    "length": float(length.mean()),
                }
            )
    return rows


def print_differences(rows: list[dict]):
    print(f"\nConsecutive frames, {CROP}x{CROP}: ours less OpenCV's, pixels")
    print(f"{'video':40}{'method':>12}{'|u|, |v|':>10}{'end point':>11}{'flow itself':>13}")
    for row in rows:
        figures = f"{row['absolute']:10.4f}{row['end_point']:11.4f}{row['length']:13.4f}"
        print(f"{row['video']:40}{row['method']:>12}{figures}")


def against_published(data: Path) -> list[dict]:
    """Correlation with the published flow of the cricket clip, for a few offsets between the two clips."""
    grey = middle(video.read_video(data / "clips/v_CricketShot_g04_c01_rgb.gif").frames)
    levels = video.read_video(data / "clips/v_CricketShot_g04_c01_flow.gif").frames
    assert (levels[..., 2] == 127).all()
    published = flow.from_levels(levels[..., :2].astype(np.float64))  # (T, H, W, 2)
    rows, factor = [], float(best_factor(grey, published))
    for method in ("tvl1", "opencv_tvl1"):
        found = np.stack([np.asarray(METHODS[method](*pair)) for pair in zip(grey[:-1], grey[1:], strict=True)])
        for offset in (-2, -1, 0, 1, 2):
            ours = found[max(0, -offset) :]  # the published field i + offset beside our field i
            theirs = published[max(0, offset) :]
            count = min(len(ours), len(theirs))
            ours, theirs = ours[:count], theirs[:count]
            does_move = np.linalg.norm(theirs, axis=-1) > 1
            row = {"method": method, "offset": offset, "moving": float(does_move.mean()), "factor": factor}
            for axis, name in enumerate("uv"):
                for part, mask in (("", slice(None)), ("_moving", does_move)):
                    x, y = (flows[..., axis][mask].ravel() for flows in (ours, theirs))
                    row[name + part] = float(np.corrcoef(x, y)[0, 1])
                    row[f"slope_{name}{part}"] = float(np.polyfit(x, y, 1)[0])
            rows.append(row)
    return rows


def best_factor(grey: np.ndarray, published: np.ndarray) -> float:
    """What the published flow (T, H, W, 2) is to be multiplied with so that it takes each frame to the next best."""
    y, x = np.mgrid[:CROP, :CROP].astype(np.float32)
    smooth = [cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1) for frame in grey]

    def error(factor):
        changes = []
        for first, second, field in zip(smooth[:-1], smooth[1:], published[:-1].astype(np.float32), strict=True):
            warped = cv2.remap(second, x + factor * field[..., 0], y + factor * field[..., 1], cv2.INTER_LINEAR)
            changes.append(np.abs(warped - first)[np.linalg.norm(field, axis=-1) > 2])
        return np.concatenate(changes).mean()

    return min(np.arange(0, 1.5, 0.02, np.float32), key=error)


def print_correlations(rows: list[dict]):
    print("\nCorrelation with the published flow; field i + offset of the flow clip beside frames i, i + 1")
    print(f"{'method':14}{'offset':>8}{'u':>8}{'v':>8}{'u, moving':>11}{'v, moving':>11}{'slope u':>9}{'slope v':>9}")
    for row in rows:
        figures = f"{row['u']:8.3f}{row['v']:8.3f}{row['u_moving']:11.3f}{row['v_moving']:11.3f}"
        slopes = f"{row['slope_u_moving']:9.2f}{row['slope_v_moving']:9.2f}"
        print(f"{row['method']:14}{row['offset']:8d}{figures}{slopes}")
    print(
        f"moving: the published flow is longer than a pixel, {rows[0]['moving']:.1%} of the pixels; slopes are of them"
    )
    print(f"multiplied with {rows[0]['factor']:.2f} the published flow takes each frame to the next best")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a .json file for all the figures")
    parser.add_argument("--records", type=Path, help="a directory for the pairs of known motion as records")
    args = parser.parse_args()
    if "VIDJAX_TEST_DATA" not in os.environ:
        parser.error("set VIDJAX_TEST_DATA to the directory of the test data")
    data = Path(os.environ["VIDJAX_TEST_DATA"])
    if args.records:
        return write_records(data, args.records)
    parts = {
        "published": (against_published, print_correlations),
        "opencv": (against_opencv, print_differences),
        "truth": (against_truth, print_errors),
    }
    results = {}
    for name, (measure, show) in parts.items():
        results[name] = measure(data)
        show(results[name])
        if args.out:
            args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
