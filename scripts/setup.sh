#!/usr/bin/env bash
# Makes .venv with Chainer 7.8.1, this package and what its tests need, unless
# that is done already. Sourced by the other scripts, which continue inside it.
#
#   PYTHON    the Python to use, 3.9 to 3.13 (default: python3)
#   RAM_VENV  another folder than .venv
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
venv=${RAM_VENV:-.venv}

fail() {
    echo "set-up: $1" >&2
    exit 1
}

# stage TEXT COMMAND...: one line of progress, and the log where it fails.
stage() {
    echo "set-up: $1"
    shift
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        fail "failed at: $*"
    fi
    rm -f "$log"
}

command -v "$python" >/dev/null ||
    fail "no $python here; set PYTHON to a Python 3.9 to 3.13"
"$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 14))' ||
    fail "$python is $("$python" --version 2>&1); set PYTHON to a Python 3.9 to 3.13"

# Everything that decides what is in the venv; a venv that bears this stamp is
# left alone.
stamp=$("$python" - setup.py pyproject.toml requirements.txt scripts/setup.sh \
    ${PIP_CONSTRAINT:-} <<'EOF'
import hashlib
import os
import sys

digest = hashlib.sha256(repr((sys.version, os.getcwd())).encode())
for name in sys.argv[1:]:
    with open(name, 'rb') as file:
        digest.update(file.read())
print(digest.hexdigest())
EOF
)
if [ "$(cat "$venv/ram-stamp" 2>/dev/null)" != "$stamp" ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make virtual environments; install its venv module (Debian, Ubuntu: python3-venv)"
    version='import sys; print(sys.version)'
    if [ "$("$venv/bin/python" -c "$version" 2>&1)" != "$("$python" -c "$version")" ]; then
        stage "$("$python" --version) in $venv" "$python" -m venv --clear "$venv"
    fi
    pip=("$venv/bin/python" -m pip install --disable-pip-version-check)
    stage "setuptools, wheel" "${pip[@]}" 'setuptools>=64,<81' wheel
    # Its setup.py imports pkg_resources, which the setuptools that an isolated
    # build would fetch no longer has.
    stage "Chainer 7.8.1" "${pip[@]}" --no-build-isolation chainer==7.8.1
    stage "this package and its requirements" \
        "${pip[@]}" --no-build-isolation -e '.[test]'
    echo "$stamp" >"$venv/ram-stamp"
fi

VIRTUAL_ENV_DISABLE_PROMPT=1 source "$venv/bin/activate"
# The program has threads of its own, in whose way those of the BLAS would be.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
