#!/usr/bin/env bash
# Sets up .venv and runs the test suite with its coverage. Arguments go to
# pytest: bash scripts/test.sh tests/test_losses.py -x
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

coverage=(--cov=ram --cov-report=term --cov-fail-under=90)
for argument; do
    case $argument in
        --no-cov) coverage=() ;;
        # A part of the suite need not cover the whole package.
        -k* | -m* | --lf | --deselect* | --ignore* | [!-]*)
            coverage=(--cov=ram --cov-report=term) ;;
    esac
done
python -m pytest -q ${coverage[@]+"${coverage[@]}"} "$@"
