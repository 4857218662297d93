"""Command that computes and shows the optical flow of a video.

python -m vidjax.flow VIDEO [--method tvl1] [--out flow.mp4]
python -m vidjax.flow VIDEO --method raft_small --weights torchvision_raft_small
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging as absl_logging

from vidjax import flow
from vidjax.data import flow_files, flow_images, video
from vidjax.flow import flowviz
from vidjax.inference import restore
from vidjax.progress_bar import progress_bar

AT_ONCE = 8  # pairs of frames per call


def flow_of_file(
    path: str, method: flow_images.Method, *, fps: float | None = None, short_side: int = 0
) -> tuple[np.ndarray, float]:
    """The flow of a video file, float32 (T - 1, H, W, 2) in pixels per frame, and its frames per second.

    Args:
        fps, short_side: see `video.read_video`.

    Raises:
        ValueError: for an unknown method, a file that is not a video, or a video of one frame.
    """
    flow_of = method if callable(method) else of_grey(flow_images.find_method(method))
    read = video.read_video(path, fps=fps, short_side=short_side)
    if read.warning:
        print(f"warning: {read.warning}", file=sys.stderr)
    if len(read.frames) < 2:
        raise ValueError(f"{path} has one frame: optical flow needs two or more.")
    num_pairs, (height, width) = len(read.frames) - 1, read.frames.shape[1:3]
    found = np.empty((num_pairs, height, width, 2), np.float32)
    for start in progress_bar(range(0, num_pairs, AT_ONCE), str(method), unit=f"{AT_ONCE} frames"):
        # The last call overlaps the one before, so that all calls have one shape and compile once
        start = max(0, min(start, num_pairs - AT_ONCE))
        found[start : start + AT_ONCE] = flow_of(read.frames[start : start + AT_ONCE + 1])
    return found, read.fps


def of_grey(flow_of: Callable) -> Callable:
    """Makes a method of grey frames, (first, second) -> flow, one of RGB frames (T, H, W, 3) -> (T - 1, H, W, 2)."""

    def of_frames(frames: np.ndarray) -> np.ndarray:
        grey = np.asarray(flow.to_grey(frames))
        return flow_of(grey[:-1], grey[1:])

    return of_frames


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax flow",
        description="Shows the optical flow of a video in colours: the hue is the direction, white is no motion.",
    )
    parser.add_argument("video", help="a video file")
    names = f"{', '.join(flow_images.METHODS)}; default: tvl1; or with --weights {', '.join(flow_images.NETWORKS)}"
    parser.add_argument("--method", default="tvl1", help=names)
    parser.add_argument(
        "--weights",
        default="",
        help="weights of a network: a name listed by `vidjax weights`, a file, or a run's directory",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("flow.mp4"),
        help="an .mp4 for colours or a directory for .flo files; default: flow.mp4",
    )
    parser.add_argument("--fps", type=float, help="frames per second; default: those of the file")
    parser.add_argument(
        "--short_side", type=int, default=0, help="resize the short side to this many pixels; default: that of the file"
    )
    parser.add_argument(
        "--largest", type=float, help="flow length in pixels that is drawn in full colour; default: the 99th percentile"
    )
    args = parser.parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        if args.out.suffix not in (".mp4", ""):
            raise ValueError(f"--out {args.out} is neither an .mp4 nor a directory; give one of them.")
        if args.out.resolve() == Path(args.video).resolve():
            raise ValueError(f"--out {args.out} is the video itself, which would be replaced: name another file.")
        if args.largest is not None and not (args.out.suffix and args.largest > 0):
            raise ValueError(f"--largest {args.largest:g} must be above 0, and is for the colours of an .mp4.")
        method = args.method
        if method in flow_images.NETWORKS or args.weights:
            method = restore.find_flow(method, args.weights, ("--method", "--weights"))
        found, fps = flow_of_file(args.video, method, fps=args.fps, short_side=args.short_side)
        lengths = np.hypot(found[..., 0], found[..., 1])
        if args.out.suffix == ".mp4":
            largest = args.largest if args.largest is not None else float(np.percentile(lengths, 99)) or None
            video.write_video(args.out, flowviz.to_colours(found, largest), fps)
        else:
            for i, field in enumerate(found):
                flow_files.write_flo(args.out / f"{i:06d}.flo", field)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.flow: {error}")
    print(
        f"{args.out}: {len(found)} fields of {found.shape[2]}x{found.shape[1]}, {args.method}; pixels per frame: mean "
        f"{lengths.mean():.2f}, 99 % below {np.percentile(lengths, 99):.2f}, largest {lengths.max():.2f}"
    )


if __name__ == "__main__":
    main()
