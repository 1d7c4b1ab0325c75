#!/usr/bin/env bash
# From nothing to a trained network: sets up .venv, trains on synthetic digits
# (no download), measures the test error and shows where the network looks.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

out=runs/quickstart
for ((n = 2; ; n++)); do
    [ -e "$out" ] || break
    out=runs/quickstart-$n
done

ram train configs/quickstart.yaml --out "$out"
ram evaluate "$out/best.npz" --json "$out/evaluation.json"
ram render "$out/best.npz" --out "$out/trajectories.gif"

python - "$PWD/$out" <<'EOF'
import json
import os
import sys

out = sys.argv[1]
with open(os.path.join(out, 'evaluation.json')) as file:
    result = json.load(file)
print('\ntest error {:.2f} % on {} images\nfiles:'.format(
    result['error'], result['n']))
for folder, _, names in sorted(os.walk(out)):
    for name in sorted(name for name in names if name[0] != '.'):
        print('  ' + os.path.join(folder, name))
EOF
