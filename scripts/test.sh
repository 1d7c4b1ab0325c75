#!/usr/bin/env bash
# Sets up .venv and runs the linter and the tests. Arguments go to pytest, which
# then runs in one process:
#
#   bash scripts/test.sh tests/test_losses.py -x
#   bash scripts/test.sh --cov    # all tests, slower, and what they cover
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# The whole suite runs file by file in as many processes as there are
# processors.
all=(-n auto --dist loadfile --no-loadscope-reorder)
case "$*" in
    '') set -- "${all[@]}" ;;
    --cov) set -- "${all[@]}" --cov=ram --cov-report=term --cov-fail-under=90 ;;
esac
ruff check ram scripts tests
python -m pytest -q "$@"
