#!/usr/bin/env bash
# Sets up .venv, then runs the tests, one process per core. What is compiled is kept in .pytest_cache for the next time.
#
#   bash launch/test.sh                          all but the slow proofs
#   bash launch/test.sh -m "slow or not slow"    all
#   bash launch/test.sh -n 0 -x                  one process; stops at the first failure
#   bash launch/test.sh tests/data -k csv        any arguments of pytest
cd "$(dirname "$0")/.."
source launch/setup.sh test
.venv/bin/ruff check --quiet .
exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
