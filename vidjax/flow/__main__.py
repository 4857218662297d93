"""The command that shows the optical flow of a video.

python -m vidjax.flow VIDEO [--method tvl1] [--out flow.mp4]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from vidjax import flow
from vidjax.data import flow_images, video
from vidjax.flow import flowviz
from vidjax.progress_bar import progress_bar

AT_ONCE = 8  # pairs of frames


def flow_of_file(path: str, method: str, *, fps: float | None = None, short_side: int = 0) -> tuple[np.ndarray, float]:
    """The flow of a video file: float32 (T - 1, H, W, 2), pixels a frame, and the frames a second.

    Args:
        method: a name in `flow.METHODS` or `opencv.METHODS`.
        fps, short_side: as of `video.read_video`.

    Raises:
        ValueError: for an unknown method, or a file that is no video or has one frame only.
    """
    flow_of = flow_images.find_method(method)
    read = video.read_video(path, fps=fps, short_side=short_side)
    if read.warning:
        print(f"warning: {read.warning}", file=sys.stderr)
    if len(read.frames) < 2:
        raise ValueError(f"{path} has one frame: optical flow needs two at least.")
    grey = np.stack([np.asarray(flow.to_grey(frame)) for frame in read.frames])
    found = np.empty((len(grey) - 1, *grey.shape[1:], 2), np.float32)
    for start in progress_bar(range(0, len(grey) - 1, AT_ONCE), method, unit=f"{AT_ONCE} frames"):
        # The last part goes back a little, so that all are of one size, which is compiled once
        start = max(0, min(start, len(grey) - 1 - AT_ONCE))
        frames = grey[start : start + AT_ONCE + 1]
        found[start : start + AT_ONCE] = flow_of(frames[:-1], frames[1:])
    return found, read.fps


def main():
    parser = argparse.ArgumentParser(
        prog="python -m vidjax.flow",
        description="Optical flow of a video, as colours: the hue is the direction, white is no motion.",
    )
    parser.add_argument("video", help="a video file")
    parser.add_argument("--method", default="tvl1", help=f"{', '.join(flow_images.METHODS)}; tvl1")
    parser.add_argument(
        "--out", type=Path, default=Path("flow.mp4"), help="a .mp4 of colours, or a directory for .flo files; flow.mp4"
    )
    parser.add_argument("--fps", type=float, help="frames a second; those of the file")
    parser.add_argument("--short_side", type=int, default=0, help="pixels; that of the file")
    parser.add_argument("--largest", type=float, help="pixels of the full colour; by default 99 %% are shorter")
    args = parser.parse_args()
    try:
        if args.out.suffix not in (".mp4", ""):
            raise ValueError(f"--out {args.out}: a name that ends in .mp4, or a directory, is needed.")
        found, fps = flow_of_file(args.video, args.method, fps=args.fps, short_side=args.short_side)
        lengths = np.hypot(found[..., 0], found[..., 1])
        if args.out.suffix == ".mp4":
            largest = args.largest if args.largest is not None else float(np.percentile(lengths, 99)) or None
            video.write_video(args.out, flowviz.to_colours(found, largest), fps)
        else:
            for i, field in enumerate(found):
                flowviz.write_flo(args.out / f"{i:06d}.flo", field)
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax.flow: {error}")
    print(
        f"{args.out}: {len(found)} fields of {found.shape[2]}x{found.shape[1]}, {args.method}; pixels a frame: mean "
        f"{lengths.mean():.2f}, 99 % below {np.percentile(lengths, 99):.2f}, largest {lengths.max():.2f}"
    )


if __name__ == "__main__":
    main()
