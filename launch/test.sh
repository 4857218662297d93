#!/usr/bin/env bash
# Sets up .venv, then runs the tests, one process per core. Keeps compiled programs in .pytest_cache.
#
#   bash launch/test.sh                          all tests except the slow proofs
#   bash launch/test.sh -m "slow or not slow"    all tests
#   bash launch/test.sh -n 0 -x                  one process; stops at the first failure
#   bash launch/test.sh tests/data -k csv        any other arguments of pytest
cd "$(dirname "$0")/.."
source launch/setup.sh test
.venv/bin/ruff check --quiet .
exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"
