"""Fuzzes the readers of files.

    python scripts/checks/fuzz.py --minutes 10
    python scripts/checks/fuzz.py --minutes 10 --target checkpoint --seed 7

The readers are those of configurations, IDX files, .npz data, PNG and JPEG files
and checkpoints.
A case is a valid file that was altered: bits, bytes, lengths and tokens, also
inside zip archives, with checksums corrected, so that the code behind them is
reached. A reader may return a value or raise RamError with a message. Anything
else is a finding: another exception, more than ten seconds, more than 300 MB
of memory, or code of the file that is run. Findings are written into a folder
that the last line names, and the exit status is 1.
"""
import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from fuzz_targets import CANARY, TARGETS, altered

import ram.compat  # noqa: F401
from ram.files import write_json

SECONDS, MEGABYTES = 10, 300


# A module that would be noticed if a file could have it imported.
MODULE = f"open({CANARY!r}, 'w').close()\n"


class Watch:
    """Counts the cases of a target, and keeps what it finds."""

    def __init__(self, name, findings):
        self.name, self._findings = name, findings
        self.target = TARGETS[name]()
        self.cases, self.found = 0, {}
        self.began = time.monotonic()
        self._memory = self._peak()
        signal.signal(signal.SIGALRM, self._too_long)

    @staticmethod
    def _peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    @staticmethod
    def _too_long(number, frame):
        raise TimeoutError(f'more than {SECONDS} seconds')

    def __call__(self, data):
        self.cases += 1
        if self.cases == 200:  # everything is imported by now
            self._memory = self._peak()
        signal.alarm(SECONDS)
        try:
            self.target.run(data)
            signal.alarm(0)
            if self.cases > 200 and self._peak() > self._memory + MEGABYTES:
                self._memory = self._peak()
                raise MemoryError(f'more than {MEGABYTES} MB')
        except Exception as error:
            signal.alarm(0)
            self._keep(data, error)
        if self.cases % 5000 == 0:
            self.report(sys.stderr)

    def _keep(self, data, error):
        where = traceback.extract_tb(error.__traceback__)[-1]
        key = f'{type(error).__name__} in {os.path.basename(where.filename)}'
        key += f':{where.lineno}'
        self.found.setdefault(key, 0)
        self.found[key] += 1
        if self.found[key] == 1:
            path = os.path.join(self._findings, f'{self.name}-'
                                f'{len(self.found)}')
            with open(path, 'wb') as file:
                file.write(data)
            with open(path + '.txt', 'w') as file:
                traceback.print_exception(type(error), error,
                                          error.__traceback__, file=file)

    def report(self, stream):
        seconds = time.monotonic() - self.began
        print(f'{self.name}: {self.cases} cases, {len(self.found)} findings, '
              f'{self.cases / seconds:.0f} cases/s, {seconds / 60:.1f} min',
              file=stream, flush=True)

    def result(self):
        return {'target': self.name, 'cases': self.cases,
                'findings': self.found,
                'seconds': time.monotonic() - self.began}


def run_cases(watch, minutes, seed):
    """Random cases."""
    rng = random.Random(f'{seed} {watch.name}')
    for data in watch.target.seeds:
        watch(data)
    while time.monotonic() - watch.began < 60 * minutes:
        watch(altered(watch.target, rng))


def work(name, minutes, seed, findings):
    """Fuzzes one target in this process; prints its result as JSON."""
    watch = Watch(name, findings)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open('steals.py', 'w') as file:
            file.write(MODULE)
        sys.path.insert(0, folder)
        run_cases(watch, minutes, seed)
        print(json.dumps(watch.result()), flush=True)
        os.chdir('/')


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--minutes', type=float, default=1, metavar='M',
                        help='for each target (default: 1)')
    parser.add_argument('--target', nargs='+', choices=list(TARGETS),
                        default=list(TARGETS))
    parser.add_argument('--seed', type=int, default=0, metavar='N')
    parser.add_argument('--findings', metavar='DIR', help=(
        'findings go there (default: a new temporary folder)'))
    parser.add_argument('--json', metavar='FILE', help='results go there')
    parser.add_argument('--inside', help=argparse.SUPPRESS)
    args = parser.parse_args()
    findings = os.path.abspath(args.findings or tempfile.mkdtemp(
        prefix='findings-'))
    os.makedirs(findings, exist_ok=True)
    if args.inside:
        return work(args.inside, args.minutes, args.seed, findings)
    results = []
    for name in args.target:
        done = subprocess.run(
            [sys.executable, os.path.abspath(__file__), '--inside', name,
             '--minutes', str(args.minutes), '--seed', str(args.seed),
             '--findings', findings],
            stdout=subprocess.PIPE, text=True)
        last = done.stdout.strip().split('\n')[-1]
        if done.returncode or not last.startswith('{'):
            results.append({'target': name, 'cases': 0, 'seconds': 0,
                            'findings': {f'ended the process with status '
                                         f'{done.returncode}': 1}})
        else:
            results.append(json.loads(last))
    for result in results:
        rate = result['cases'] / max(result['seconds'], 1e-9)
        print(f'{result["target"]:12} {result["cases"]:9} cases '
              f'{rate:8.0f}/s  {len(result["findings"])} findings')
        for key, count in result['findings'].items():
            print(f'  {count} times {key}')
    if args.json:
        write_json(args.json, results)
    found = any(result['findings'] for result in results)
    print(f'findings: {findings}' if found else 'no findings')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
