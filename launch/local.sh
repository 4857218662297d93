#!/usr/bin/env bash
# Sets up .venv, then trains.
#
#   bash launch/local.sh
#       Runs the quickstart: renders the synthetic motion dataset as mp4 files, converts them to TFRecords, trains a
#       small 3-D network and an order-blind one, and prints a table. Reuses finished parts.
#   bash launch/local.sh CONFIG --workdir W [--config.key=value]
#       Trains another config.
cd "$(dirname "$0")/.."
source launch/setup.sh ""

if (($#)); then
  [[ $1 == -* ]] && set -- configs/quickstart.py "$@"
  config=$1
  shift
  exec .venv/bin/python -m vidjax.train --config "$config" "$@"
fi

.venv/bin/python -m vidjax.data.make_records motion --out data/motion --short_side 0
.venv/bin/python -m vidjax.train --config configs/quickstart.py --workdir runs/quickstart
.venv/bin/python -m vidjax.train --config configs/quickstart.py:model=frame_pool --workdir runs/quickstart_frame_pool
.venv/bin/python -m vidjax.ladder.results runs/quickstart runs/quickstart_frame_pool

cat <<'TEXT'

The classes are four pairs that are each other's reverse in time. The network over space and time (i3d) tells the two of a
pair apart, forwards and backwards; the one that averages frames (frame_pool) only guesses (within pairs: chance is 50 %).

Next, after `source .venv/bin/activate`:
  vidjax report runs/quickstart runs/quickstart_frame_pool --out report.html      # curves, confusions, mistakes
  vidjax predict data/motion/videos/test/left/0000.mp4 --workdir runs/quickstart   # one video
  vidjax make-records path/to/videos --out data/mine --fps 12 --short_side 128     # your own: README, "Your own folder"
TEXT
