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
