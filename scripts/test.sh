#!/usr/bin/env bash
# Sets up .venv and runs the linter and the test suite with its coverage.
# Arguments go to pytest: bash scripts/test.sh tests/test_losses.py -x
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# The whole suite runs file by file in as many processes as there are
# processors.
processes=(-n auto --dist loadfile --no-loadscope-reorder)
coverage=(--cov=ram --cov-report=term --cov-fail-under=90)
for argument; do
    case $argument in
        --no-cov) coverage=() ;;
        # A part of the suite need not cover the whole package, and is sooner
        # done in one process.
        -k* | -m* | --lf | --deselect* | --ignore* | [!-]*)
            processes=()
            coverage=(--cov=ram --cov-report=term) ;;
    esac
done
ruff check ram scripts tests
python -m pytest -q ${processes[@]+"${processes[@]}"} \
    ${coverage[@]+"${coverage[@]}"} "$@"
