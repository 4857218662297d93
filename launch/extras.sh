#!/usr/bin/env bash
# Tests each extra alone: installs it with the requirements in a temporary environment, checks for conflicting packages,
# and runs the tests that need it. cuda and tpu are only resolved, not installed: they are gigabytes.
#
#   bash launch/extras.sh               all extras
#   bash launch/extras.sh onnx keras    some of them
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A tests=(
  [tf]="tests/weights/test_files.py tests/export/test_formats.py"
  [torch]="tests/weights/test_files.py"
  [keras]="tests/weights/test_files.py"
  [onnx]="tests/export/onnx"
  [beam]="tests/data/test_beam.py"
  [text]="tests/data/test_text_tokens.py tests/data/test_sentence_pieces.py tests/inference/test_zero_shot.py"
)
declare -A modules=([tf]=tensorflow [torch]=torch [keras]=h5py [onnx]=onnxruntime [beam]=apache_beam [text]=tokenizers)

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
(($#)) || set -- tf torch keras onnx beam text cuda tpu
for extra in "$@"; do
  [[ -n ${tests[$extra]:-} || $extra == cuda || $extra == tpu ]] || {
    echo "Unknown extra $extra; choose from ${!tests[*]} cuda tpu." >&2
    exit 1
  }
  echo "Testing the extra $extra alone ..."
  rm -rf "$place/venv"
  "${PYTHON:-python3}" -m venv "$place/venv"
  pip=("$place/venv/bin/python" -m pip --quiet --disable-pip-version-check)
  if [[ -z ${tests[$extra]:-} ]]; then
    "${pip[@]}" install --dry-run --editable ".[$extra]"
    continue
  fi
  "${pip[@]}" install --no-compile --editable ".[$extra]" pytest
  "${pip[@]}" check
  "$place/venv/bin/python" -c "import ${modules[$extra]}"
  # shellcheck disable=SC2086  # word splitting: several files
  "$place/venv/bin/python" -m pytest ${tests[$extra]}
done
