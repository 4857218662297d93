"""Adds classes to a gallery by a few example videos, without training; also lists and removes them.

    python -m vidjax.gallery add FILE --class NAME VIDEO|DIR... (--workdir W | --weights NAME|FILE | --exported DIR)
    python -m vidjax.gallery remove FILE --class NAME
    python -m vidjax.gallery list FILE
    python -m vidjax.predict VIDEO|DIR... --workdir W --gallery FILE [--reject]

A gallery holds the embeddings of the examples by one network and refuses any other, see `vidjax.inference.gallery`.
The network is a classifier, whose last layer is left out, or a run that was trained with a metric loss. A class that is
there gets more examples. All videos are read before the file is written, so that an error changes nothing.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from absl import logging as absl_logging

from vidjax import output_paths
from vidjax.data import frame_folder, video_paths
from vidjax.export import exported
from vidjax.inference import embedding, gallery, restore
from vidjax.inference.views import views_of
from vidjax.progress_bar import progress_bar


def add(
    embedder: embedding.Embedder,
    path: Path,
    name: str,
    places: list[str],
    *,
    folder_fps: float = frame_folder.FPS,
) -> gallery.Gallery:
    """Adds videos to a class of a gallery, or starts a gallery.

    Args:
        embedder: the network, compiled once for any number of additions.
        places: videos, folders of frames, or directories of them.

    Returns:
        The gallery, which is written to `path`.

    Raises:
        ValueError: if a video cannot be read or is there already, or the gallery is damaged or of another network.
    """
    there = gallery.for_network(gallery.read(path), embedder) if path.exists() else gallery.empty(embedder)
    videos = [video for place in places for video in video_paths.find_videos(place)[0]]
    views = (views_of(embedder.network, video, folder_fps=folder_fps) for video in progress_bar(videos, "videos"))
    found = list(map(embedder.embed, views))
    after = gallery.add(there, name, np.stack(found), list(map(str, videos)))
    gallery.write(path, after)
    return after


def listed(of: gallery.Gallery) -> str:
    """Returns a line per class with its number of examples, and the network."""
    lines = [f"{len(rows):6}  {name}" for name, rows in of.examples.items()]
    return "\n".join([f"classes: {len(lines)}, network: {of.name}, {embedding.name_of(of.distance)} distance", *lines])


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidjax gallery", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("add", "adds examples of a class"), ("remove", "removes a class"), ("list", "lists classes")):
        of_command = commands.add_parser(name, help=what, description=f"{what.capitalize()}.")
        of_command.add_argument("file", type=Path, metavar="FILE", help="the gallery, a .safetensors file")
        if name != "list":
            of_command.add_argument("--class", dest="name", metavar="NAME", required=True, help="name of the class")
    add_parser = commands.choices["add"]
    add_parser.add_argument(
        "videos", nargs="+", metavar="VIDEO|DIR", help="example videos; a directory stands for all videos in it"
    )
    network = add_parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--workdir", type=Path, help="directory of a run")
    network.add_argument("--weights", metavar="NAME|FILE", help="a name listed by `vidjax weights`, or a weights file")
    network.add_argument("--exported", type=Path, metavar="DIR", help="directory written by `vidjax export --embedder`")
    add_parser.add_argument("--step", type=int, help="step of the checkpoint (default: the last)")
    add_parser.add_argument("--folder_fps", type=float, default=frame_folder.FPS,
        help="frame rate of image folders (default: %(default)g)")  # fmt: skip
    args = parser.parse_args(argv)
    if args.command == "add" and not args.workdir and args.step is not None:
        parser.error("--step is for --workdir.")
    if args.command == "add" and not 0 < args.folder_fps < float("inf"):
        parser.error(f"--folder_fps {args.folder_fps} must be more than 0.")
    return args


def load(args: argparse.Namespace) -> embedding.Embedder:
    """Loads the network that the arguments name."""
    if args.exported:
        return exported.make_embedder(exported.load(args.exported))
    run = restore.from_run(args.workdir, args.step) if args.workdir else restore.from_weights(args.weights)
    return embedding.of_run(run)


def main():
    args = parse_args()
    absl_logging.set_verbosity(absl_logging.ERROR)  # Orbax warns about read-only use, which is intended
    try:
        if args.command == "add":
            output_paths.check_out(args.file, "FILE")
            found = add(load(args), args.file, args.name, args.videos, folder_fps=args.folder_fps)
        else:
            found = gallery.read(args.file)
        if args.command == "remove":
            found = gallery.remove(found, args.name)
            gallery.write(args.file, found)
        print(listed(found))
    except (ValueError, OSError) as error:
        sys.exit(f"vidjax gallery: error: {error}")


if __name__ == "__main__":
    main()
