"""Kills and resumes a training, and compares it with an undisturbed one.

    python scripts/checks/chaos.py --kills 50
    python scripts/checks/chaos.py --kills 20 --full-disk

A short training (cluttered synthetic digits) runs to its end undisturbed. Then
it runs again, is ended by SIGKILL at a random moment, resumed, killed again,
and so on. Each complete run must equal the first one bit for bit: weights,
optimizer, generators, log and best checkpoint. With --full-disk some processes
also have a random limit on the size of their files, which a snapshot soon
exceeds: that must end in one line and exit status 2, and nothing saved before
may be lost. Exit status 1 if anything differs.
"""
import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from typing import List, Optional

from ram.checkpoint import read_arrays
from ram.errors import RamError
from ram.files import read_log

CONFIG = """\
data:
  name: synthetic
  variant: cluttered
  canvas: [40, 40]
  train_images: 1000
  validation: 200
  test_images: 50
model:
  glimpses: 4
  core: lstm
  core_units: 64
  first_location: near_center
training:
  epochs: {epochs}
  batch_size: 32
  average: 0.99
  first_std: 0.3
  schedule: plateau
  plateau_patience: 2
  snapshot_minutes: 0.003
"""
# What a resumed run needs and what a run leaves; all else is time.
KEPT = {'snapshot.npz': 'snapshot', 'best.npz': 'checkpoint',
        'last.npz': 'checkpoint'}


def start(folder, out, limit=None):
    """Starts or resumes the training; returns the process."""
    def preexec():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, '-m', 'ram', 'train',
         os.path.join(folder, 'chaos.yaml'), '--out', out, '--resume'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        preexec_fn=preexec if limit else None)


def contents(out):
    """All that must be equal, by name: bytes of arrays, and the log."""
    found = {}
    for name, kind in KEPT.items():
        arrays, meta = read_arrays(os.path.join(out, name), kind)
        found.update({
            f'{name}:{key}': array.tobytes() for key, array in arrays.items()
            if 'elapsed' not in key and 'LogReport' not in key})
        found[f'{name}:meta'] = json.dumps(meta, sort_keys=True).encode()
    for entry in read_log(out):
        entry.pop('elapsed_time')
        found[f'log of epoch {entry["epoch"]}'] = json.dumps(
            entry, sort_keys=True).encode()
    return found


def reached(out):
    """The iteration of the newest snapshot, as a resumed run will see it."""
    for name in ('snapshot.npz', 'snapshot-before.npz'):
        try:
            return read_arrays(os.path.join(out, name),
                               'snapshot')[1]['iteration']
        except RamError:
            continue
    return 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--kills', type=int, default=50, metavar='N')
    parser.add_argument('--epochs', type=int, default=10, metavar='N',
                        help='of the training (default: 10)')
    parser.add_argument('--full-disk', action='store_true',
                        help='limit the size of files as well')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='of the moments')
    args = parser.parse_args()
    rng = random.Random(args.seed)
    folder = tempfile.mkdtemp(prefix='chaos-')
    try:
        return chaos(args, rng, folder)
    finally:
        shutil.rmtree(folder)


def chaos(args: argparse.Namespace, rng: random.Random, folder: str) -> int:
    """Kills and resumes trainings; returns the exit status."""
    with open(os.path.join(folder, 'chaos.yaml'), 'w') as file:
        file.write(CONFIG.replace('{epochs}', str(args.epochs)))
    whole = os.path.join(folder, 'whole')
    began = time.monotonic()
    process = start(folder, whole)
    if process.wait():
        sys.exit('chaos: the undisturbed training failed: '
                 f'{process.stderr.read()}')
    seconds = time.monotonic() - began
    wanted = contents(whole)
    size = os.path.getsize(os.path.join(whole, 'snapshot.npz'))
    print(f'undisturbed: {seconds:.1f} s, {reached(whole)} iterations, '
          f'{len(wanted)} things to compare', flush=True)

    kills = ends = 0
    faults, out = [], os.path.join(folder, 'run-0')
    while kills < args.kills or os.path.exists(out):
        limit, wait = None, None
        if kills < args.kills:  # else the current run may end
            # Seldom long enough to reach the end, often in the start.
            wait = rng.uniform(0, 0.7 * seconds)
            if args.full_disk and rng.random() < 0.5:
                limit = rng.randrange(1000, size)
        status, how = disturb(folder, out, limit, wait, faults)
        if status is None:
            kills += 1
            how = f'kill {kills:3} after {wait:5.2f} s'
        if status != 0:
            print(f'{how}, at iteration {reached(out)}'
                  + (f', files up to {limit} bytes' if limit else ''),
                  flush=True)
            continue
        ends += 1
        found = contents(out)
        other = sorted(key for key in set(wanted).union(found)
                       if wanted.get(key) != found.get(key))
        faults += [f'end {ends}: {key}' for key in other]
        print(f'end {ends}: ' + (f'DIFFERS in {", ".join(other)}' if other
                                 else 'equal bit for bit'), flush=True)
        shutil.rmtree(out)
        out = os.path.join(folder, f'run-{ends}')
        if kills >= args.kills:
            break
    print(f'{kills} kills, {ends} complete runs: '
          + (f'{len(faults)} faults' if faults else 'all equal bit for bit'))
    for fault in faults:
        print(f'  {fault}')
    return 1 if faults else 0


def disturb(folder: str, out: str, limit: Optional[int],
            wait: Optional[float], faults: List[str]):
    """Starts or resumes a training, and kills it after a while.

    A file may have ``limit`` bytes. Wrong endings are added to the faults.
    Returns the exit status, None if it was killed; and how it ended, in
    words.
    """
    process, status = start(folder, out, limit), None
    try:
        _, message = process.communicate(timeout=wait)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        _, message = process.communicate()
    how = 'full disk' if status == 2 else 'complete'
    if status not in (None, 0, 2) or (status == 2 and (
            limit is None or message.count('\n') != 1
            or 'ram: ' not in message)):
        how = f'ended with status {status}: {message.strip()}'
        faults.append(how)
    if 'Traceback' in message:
        faults.append(message)
    return status, how


if __name__ == '__main__':
    sys.exit(main())
