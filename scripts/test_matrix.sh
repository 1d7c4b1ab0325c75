#!/usr/bin/env bash
# Runs the suite under every Python 3.9 to 3.13 that is found, each with the
# oldest and the newest NumPy it can have; on Python 3.9, oldest means every
# lower bound of requirements.txt. Arguments go to pytest. The virtual
# environments and logs stay in .venv-matrix (or $RAM_MATRIX) for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
matrix=${RAM_MATRIX:-.venv-matrix}
mkdir -p "$matrix"
matrix=$(cd "$matrix" && pwd)

find_python() {
    local candidate
    for candidate in "python$1" ~/.pyenv/versions/"$1".*/bin/python; do
        # Run it: a launcher may stand for a Python that is not there.
        if "$candidate" -c "import sys; sys.exit(sys.version_info[:2] != (${1/./, }))" \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

oldest() {
    case $1 in
        3.9) sed -n 's/^\([a-z_]*\)>=/\1==/p' requirements.txt ;;
        3.10 | 3.11) echo 'numpy==1.23.5' ;;
        3.12) echo 'numpy<2' ;;
        3.13) echo 'numpy<2.2' ;;
    esac
}

row='%-8s %-8s %-12s %-8s %s\n'
table=$(printf "$row" Python NumPy Matplotlib result pytest)
status=0
for version in 3.9 3.10 3.11 3.12 3.13; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        table+=$'\n'$(printf "$row" "$version" - - 'not found' '')
        continue
    fi
    for age in old new; do
        name=$version-$age
        echo "Python $version, $age: log in $matrix/$name.log"
        constraint=
        if [ "$age" = old ]; then
            constraint=$matrix/$name.txt
            oldest "$version" >"$constraint"
        fi
        result=passed
        PYTHON=$python RAM_VENV=$matrix/$name PIP_CONSTRAINT=$constraint \
            bash scripts/test.sh "$@" >"$matrix/$name.log" 2>&1 ||
            { result=FAILED; status=1; }
        versions=$("$matrix/$name/bin/python" -c \
            'import matplotlib, numpy; print(numpy.__version__, matplotlib.__version__)' \
            2>/dev/null || echo '- -')
        table+=$'\n'$(printf "$row" "$version" $versions "$result" \
            "$(tail -n 1 "$matrix/$name.log")")
    done
done
printf '\n%s\n' "$table"
exit $status
