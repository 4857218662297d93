"""Describes a dataset of records, as text and one picture: the first thing to look at.

vidjax data describe data/mine [--out description.png]
"""

import argparse
import sys
from pathlib import Path

from vidjax import output_paths, plots
from vidjax.data import description


def describe(directory: Path, out: Path):
    """Prints the description of a dataset, and draws it.

    Raises:
        ValueError: if there are no records, one is damaged, or the picture cannot be written.
    """
    output_paths.check_out(out)
    found = description.describe(directory)
    print(description.text(found).encode(errors="backslashreplace").decode())
    is_timed = all(video.fps for video in found.videos)
    lengths = [video.length / video.fps if is_timed else video.length for video in found.videos]
    unit = "seconds" if is_timed else "frames or steps"
    sizes = [video.size for video in found.videos]
    plots.dataset(found.counts(), found.info.labels, lengths, unit, sizes, [video.fps for video in found.videos], out)
    print(f"Drew {out}")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="vidjax data", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("describe", help="classes, lengths, sizes, frame rates, splits, copies")
    command.add_argument("directory", type=Path, metavar="DIR", help="directory of the records")
    command.add_argument("--out", type=Path, metavar="PNG", help="the picture (default: description.png in DIR)")
    args = parser.parse_args(argv)
    try:
        describe(args.directory, args.out or args.directory / "description.png")
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax data: {error}")


if __name__ == "__main__":
    main()
