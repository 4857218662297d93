#!/usr/bin/env bash
# Sets up .venv, then runs the tests.
#
#   bash launch/test.sh                          all but the slow proofs
#   bash launch/test.sh -m "slow or not slow"    all
#   bash launch/test.sh -n 2 --dist loadfile     two files at a time
#   bash launch/test.sh tests/data -k csv        any arguments of pytest
cd "$(dirname "$0")/.."
source launch/setup.sh test
.venv/bin/ruff check --quiet .
exec .venv/bin/python -m pytest "$@"
