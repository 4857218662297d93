"""Lists, describes and downloads published weights.

    python -m vidjax.weights             lists all entries
    python -m vidjax.weights show NAME   shows source, licence, classes, preprocessing, files
    python -m vidjax.weights get NAME    downloads an entry into $VIDJAX_CACHE (by default ~/.cache/vidjax)

Other commands accept the path of a weight file in place of a name, if it holds one of the same networks.
"""

import argparse

from vidjax.weights.downloads import fetch
from vidjax.weights.load import find
from vidjax.weights.table import WEIGHTS


def describe(name: str) -> str:
    """Describes an entry in a few lines."""
    entry = find(name)
    clip, inputs, mean, std = entry.clip, entry.inputs, entry.preprocess["mean"], entry.preprocess["std"]
    named = f"{len(entry.labels)}: {', '.join(entry.labels[:3])}, ..."
    classes = named if entry.labels else "none; use it for features or as a starting point"
    size = "x".join(map(str, clip["resize"])) if isinstance(clip["resize"], tuple) else f"short side {clip['resize']}"
    files = [f"{file.path} ({'in the cache' if file.path.exists() else 'not downloaded'})" for file in entry.files]
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
    parser = argparse.ArgumentParser(
        prog="vidjax weights", description="Lists, describes and downloads published weights."
    )
    commands = parser.add_subparsers(dest="command")
    for command, meaning in (("show", "describe an entry"), ("get", "download an entry into $VIDJAX_CACHE")):
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
            print("\n* in the cache. `python -m vidjax.weights show NAME` describes an entry.")
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
