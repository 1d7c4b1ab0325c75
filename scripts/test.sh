#!/usr/bin/env bash
# Sets up .venv and runs the test suite. Arguments go to pytest:
#
#   bash scripts/test.sh tests/test_losses.py -x
#   bash scripts/test.sh --cov=ram    # coverage takes half as long again
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# The whole suite runs file by file in as many processes as there are
# processors; a part of it is sooner done in one.
processes=(-n auto --dist loadfile --no-loadscope-reorder)
for argument; do
    case $argument in
        -k* | -m* | --lf | --deselect* | --ignore* | [!-]*) processes=() ;;
    esac
done
python -m pytest -q ${processes[@]+"${processes[@]}"} "$@"
