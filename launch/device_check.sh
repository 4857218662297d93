#!/usr/bin/env bash
# Checks a machine with an accelerator that has JAX, Flax and optax, but perhaps no network.
#
#   bash launch/device_check.sh pack WHEELS
#       On a machine with a network: downloads into the folder WHEELS what the accelerator's machine lacks.
#       PYTHON_VERSION (3.12) is the version of Python there, PACKAGES the list of packages.
#   bash launch/device_check.sh run WHEELS OUT
#       There: installs the wheels, runs `vidjax bench device` (MINUTES: 9), then the quickstart, once without a break
#       and once stopped and continued, and compares the two. VIDEOS are the numbers of its videos (1600 160 480).
set -euo pipefail
cd "$(dirname "$0")/.."

action=${1:-} wheels=${2:-} out=${3:-}
if [[ $action == pack && $# == 2 ]]; then
  packages=${PACKAGES:-grain ml-collections av google-crc32c tensorflow-datasets orbax-checkpoint \
    opencv-contrib-python-headless matplotlib scikit-learn tensorboardX psutil pypi-simple safetensors einops}
  platforms=()
  for version in 2_28 2_27 2_24 2_17; do platforms+=(--platform "manylinux_${version}_x86_64"); done
  # shellcheck disable=SC2086  # word splitting: several packages
  "${PYTHON:-python3}" -m pip download --quiet --only-binary=:all: --implementation cp --dest "$wheels" \
    --python-version "${PYTHON_VERSION:-3.12}" "${platforms[@]}" --platform manylinux2014_x86_64 $packages
  rm -f "$wheels"/jax-*.whl "$wheels"/jaxlib-*.whl # those of the machine know its accelerator
  du -sh "$wheels"
  exit
fi
if [[ $action != run || $# != 3 ]]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
python=${PYTHON:-python3}
if [[ -d $wheels ]]; then
  "$python" -m pip install --quiet --no-index --no-deps --upgrade --target "$out/site" "$wheels"/*.whl
  export PYTHONPATH=$out/site${PYTHONPATH:+:$PYTHONPATH}
fi
"$python" -c 'import jax; print(jax.devices())'
"$python" -m vidjax.bench device --minutes "${MINUTES:-9}" --out "$out/device.json"

read -ra videos <<<"${VIDEOS:-1600 160 480}"
"$python" -m vidjax.data.make_records motion --out "$out/motion" --short_side 0 --motion_videos "${videos[@]}"
export XLA_FLAGS="${XLA_FLAGS:-} --xla_gpu_deterministic_ops=true" # else two runs differ in their last bits
train=("$python" -m vidjax.train --config configs/quickstart.py "--config.dataset=$out/motion")
train+=(--config.checkpoint_every=5 --config.log_every=5)
"${train[@]}" --workdir "$out/whole"
"${train[@]}" --workdir "$out/resumed" &
until compgen -G "$out/resumed/checkpoints/[0-9]*" >/dev/null; do
  kill -0 $! || exit 1
  sleep 0.2
done
kill -INT $! # saves and stops
wait $! || true
"${train[@]}" --workdir "$out/resumed"
"$python" - "$out" <<'END'
import json, sys
losses = [json.load(open(f"{sys.argv[1]}/{name}/result.json"))["loss"] for name in ("whole", "resumed")]
print("The resumed run ends with", "the same bits." if losses[0] == losses[1] else f"another loss: {losses}.")
sys.exit(losses[0] != losses[1])
END
