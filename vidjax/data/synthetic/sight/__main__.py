"""Draws a contact sheet of a dataset with one dial: a row per level, time from left to right.

    python -m vidjax.data.synthetic.sight direction --out direction.png

Short clips show every second frame; of long ones, the middle column of pixels of each frame.
"""

import argparse
from pathlib import Path

import cv2

from vidjax.data.synthetic.sight.render import DIALS
from vidjax.data.synthetic.sight.sheet import sheet


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dial", choices=list(DIALS))
    parser.add_argument("--out", type=Path, required=True, help="a PNG file")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(args.out), cv2.cvtColor(sheet(args.dial, args.seed), cv2.COLOR_RGB2BGR))
    print(f"Wrote {args.out}: {DIALS[args.dial].unit}.")


if __name__ == "__main__":
    main()
