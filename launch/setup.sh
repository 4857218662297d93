# shellcheck shell=bash
# Creates .venv and installs vidjax with the extras in $1 ("" or "test"). local.sh and test.sh source it in the
# repository's root. Installs nothing if requirements.txt and pyproject.toml have not changed.
set -euo pipefail

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "vidjax needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON to a newer one." >&2
  exit 1
}

# glibc asks for large pages: a training step on a CPU takes less time, see docs/speed.md
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}

extras=$1
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
  extras=${extras:+$extras,}cuda
elif compgen -G '/dev/accel*' >/dev/null || compgen -G '/dev/vfio/[0-9]*' >/dev/null; then
  extras=${extras:+$extras,}tpu
fi

stamp=".venv/installed-${extras:-core}"
wanted=$(cat requirements.txt pyproject.toml | cksum)
if [[ ! -f $stamp || $(cat "$stamp") != "$wanted" ]]; then
  echo "Installing vidjax${extras:+ with $extras} into .venv ..."
  [[ -x .venv/bin/python ]] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
  echo "$wanted" >"$stamp"
fi
