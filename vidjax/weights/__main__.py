"""The command for published weights.

    python -m vidjax.weights             lists them
    python -m vidjax.weights show NAME   source, licence, classes, preprocessing, files
    python -m vidjax.weights get NAME    downloads one into $VIDJAX_CACHE (by default ~/.cache/vidjax)

Wherever a name is expected, the path of a file with the same network works too, whoever trained it.
"""

import argparse

from vidjax.weights.downloads import fetch
from vidjax.weights.load import find
from vidjax.weights.table import WEIGHTS


def describe(name: str) -> str:
    """What a user has to know about some weights, in a few lines."""
    entry = find(name)
    clip, inputs, mean, std = entry.clip, entry.inputs, entry.preprocess["mean"], entry.preprocess["std"]
    named = f"{len(entry.labels)}: {', '.join(entry.labels[:3])}, ..."
    classes = named if entry.labels else "none: for features, and to start from"
    size = "x".join(map(str, clip["resize"])) if isinstance(clip["resize"], tuple) else f"short side {clip['resize']}"
    files = [f"{file.path} ({'here' if file.path.exists() else 'not fetched yet'})" for file in entry.files]
    return (
        f"{name}\n"
        f"  {entry.what}\n"
        f"  source   {entry.source}\n"
        f"  from     {entry.files[0].source}\n"
        f"  licence  {entry.licence}\n"
        f"  model    {entry.model}\n"
        f"  classes  {classes}\n"
        f"  videos   {inputs['fps']:g} frames/s, resized to {size}; clips of {clip['num_frames']} frames at stride "
        f"{clip['frame_stride']}, {clip['size']}x{clip['size']}\n"
        f"  channels {'red, green, blue' if len(mean) == 3 else 'optical flow x, y'}: (x - mean) / std of 0..255 with "
        f"mean {', '.join(f'{x:g}' for x in mean)} and std {', '.join(f'{x:g}' for x in std)}\n"
        + "\n".join(f"  file     {line}" for line in files)
    )


def main():
    parser = argparse.ArgumentParser(description="Lists published weights, tells about one, or fetches it.")
    commands = parser.add_subparsers(dest="command")
    for command, meaning in (("show", "what is to be known about one"), ("get", "fetch it into $VIDJAX_CACHE")):
        commands.add_parser(command, help=meaning).add_argument("name", help="as listed by `python -m vidjax.weights`")
    args = parser.parse_args()
    try:
        if args.command == "get":
            print(*map(fetch, find(args.name).files), sep="\n")
        elif args.command == "show":
            print(describe(args.name))
        else:
            width = max(map(len, WEIGHTS))
            for name, entry in WEIGHTS.items():
                here = "*" if all(file.path.exists() for file in entry.files) else " "
                print(f"{here} {name:{width}}  {entry.what}")
            print("\n* is in the cache. `python -m vidjax.weights show NAME` tells more about one.")
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
