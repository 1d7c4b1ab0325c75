"""Watches a long training for what grows: memory, open files, time.

    python scripts/soak.py configs/mnist.yaml --data-root DIR --out runs/soak
    python scripts/soak.py configs/quickstart.yaml --out runs/soak --minutes 5

Starts `ram train`, looks at the process every few seconds (Linux), and ends it
by SIGTERM, which saves a snapshot: the run can be gone on with. What the
process holds after its first epoch is compared with what it holds at the end;
training may not grow by more than 20 MB nor by one open file. Exit status 1 if
it did. Whether it became slower is told by the epochs of the first and the last
third, which says something only where nothing else runs on the machine.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

from ram.files import replacing

LIMIT = 20  # MB


def memory(pid):
    """Resident set of a process, in MB."""
    with open(f'/proc/{pid}/status') as status:
        for line in status:
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) / 1024
    return 0.0


def handles(pid):
    """Number of files that a process has open."""
    return len(os.listdir(f'/proc/{pid}/fd'))


def epochs(out):
    """Seconds of each epoch since the start of the process, from its log."""
    try:
        with open(os.path.join(out, 'log')) as file:
            ends = [entry['elapsed_time'] for entry in json.load(file)]
    except (FileNotFoundError, ValueError):  # not yet, or being written
        return []
    return [b - a for a, b in zip([0] + ends, ends)]


def watch(process, out, minutes, every):
    """Samples (seconds, epochs done, MB, files) until the time is up."""
    start, before = time.monotonic(), len(epochs(out))
    samples = []
    while process.poll() is None and (
            time.monotonic() - start < 60 * minutes):
        time.sleep(every)
        try:
            sample = (time.monotonic() - start, len(epochs(out)) - before,
                      memory(process.pid), handles(process.pid))
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            break
        if sample[2]:
            samples.append(sample)
            print(f'{sample[0] / 60:6.1f} min  epoch {sample[1]:4}  '
                  f'{sample[2]:7.1f} MB  {sample[3]} files', flush=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return samples


def judge(samples, seconds):
    """What became of memory, files and speed after the first epoch.

    Args:
        samples (list): Of :func:`watch`.
        seconds (list of float): Of each epoch.

    Returns:
        dict

    """
    steady = [sample for sample in samples if sample[1] >= 1]
    if len(steady) < 6:
        sys.exit('soak: too short: fewer than six looks after the first '
                 'epoch; give it more --minutes or a smaller --every')
    first, last = steady[:3], steady[-(len(steady) // 3):]
    report = {
        'minutes': samples[-1][0] / 60, 'epochs': samples[-1][1],
        'peak_mb': max(s[2] for s in samples),
        # A file that is being written just then is no leak: medians.
        **{name: [statistics.median(s[i] for s in part)
                  for part in (first, last)]
           for name, i in (('memory_mb', 2), ('files', 3))}}
    third = len(seconds) // 3
    if third:
        report['epoch_seconds'] = [statistics.median(seconds[:third]),
                                   statistics.median(seconds[-third:])]
    report['grown_mb'] = report['memory_mb'][1] - report['memory_mb'][0]
    report['holds'] = (report['grown_mb'] <= LIMIT
                       and report['files'][1] <= report['files'][0])
    return report


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='run folder; one that was begun is gone on with')
    parser.add_argument('--minutes', type=float, default=60, metavar='M')
    parser.add_argument('--every', type=float, default=10, metavar='SECONDS')
    parser.add_argument('--data-root', metavar='DIR')
    parser.add_argument('--seed', default='1', metavar='N')
    parser.add_argument('--json', metavar='FILE', help='report goes there')
    args = parser.parse_args()
    command = [sys.executable, '-m', 'ram', 'train', args.config, '--out',
               args.out, '--seed', args.seed, '--resume']
    if args.data_root:
        command += ['--data-root', args.data_root]
    done = len(epochs(args.out))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    samples = watch(process, args.out, args.minutes, args.every)
    status = process.wait()
    if status not in (0, 128 + signal.SIGTERM):
        sys.exit(f'soak: the training ended with status {status}')
    # The epoch that a resumed run was in began in another process.
    report = judge(samples, epochs(args.out)[done + 1 if done else 0:])
    if args.json:
        with replacing(args.json, 'w') as file:
            json.dump(report, file, indent=2)
        print(f'written: {args.json}')
    before, after = report['memory_mb']
    print(f'{report["minutes"]:.0f} min, {report["epochs"]} epochs: '
          f'{before:.1f} MB after the first epoch, {after:.1f} MB at the end, '
          f'{report["files"][0]:g} and {report["files"][1]:g} open files')
    if 'epoch_seconds' in report:
        print('an epoch took {:.1f} s at first and {:.1f} s at the end'
              .format(*report['epoch_seconds']))
    print('holds' if report['holds'] else 'does not hold')
    return 0 if report['holds'] else 1


if __name__ == '__main__':
    sys.exit(main())
