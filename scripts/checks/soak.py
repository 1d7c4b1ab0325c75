"""Checks that a long training does not grow: memory, open files, time.

    python scripts/checks/soak.py configs/mnist.yaml --data-root DIR --out runs/soak
    python scripts/checks/soak.py configs/quickstart.yaml --out runs/soak --minutes 5

Starts `ram train`, samples the process every few seconds (Linux), and ends it
by SIGTERM, which saves a snapshot: the run can be resumed. Memory and open
files at the end are compared with those after the second epoch, when all that
ends an epoch was done once. Exit status 1 if the training grew by more than 20
MB or by one open file. The processor time of an epoch in the first and in the
last third shows whether it became slower.
"""
import argparse
import math
import os
import signal
import statistics
import subprocess
import sys
import time

from ram.files import read_log, write_json

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


def processor(pid):
    """Seconds that a process has computed for."""
    with open(f'/proc/{pid}/stat') as stat:
        fields = stat.read().rpartition(')')[2].split()  # from the third on
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def watch(process, out, minutes, every):
    """Samples (seconds, epochs, MB, files, processor's seconds) till the end.

    The epochs are those since the start of the process, the minutes those
    since the end of the second.
    """
    start, before = time.monotonic(), len(read_log(out))
    samples, steady = [], math.inf
    while process.poll() is None and (
            time.monotonic() - steady < 60 * minutes):
        time.sleep(every)
        try:
            sample = (time.monotonic() - start, len(read_log(out)) - before,
                      memory(process.pid), handles(process.pid),
                      processor(process.pid))
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            break
        if sample[1] >= 2:
            steady = min(steady, time.monotonic())
        if sample[2]:
            samples.append(sample)
            print(f'{sample[0] / 60:6.1f} min  epoch {sample[1]:4}  '
                  f'{sample[2]:7.1f} MB  {sample[3]} files', flush=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return samples


def check_samples(samples):
    """What became of memory, files and speed after the second epoch."""
    steady = [sample for sample in samples if sample[1] >= 2]
    if len(steady) < 6:
        sys.exit('soak: too short: fewer than six looks after the second '
                 'epoch; give it more --minutes or a smaller --every')
    first, last = steady[:3], steady[-(len(steady) // 3):]
    report = {
        'minutes': samples[-1][0] / 60, 'epochs': samples[-1][1],
        'peak_mb': max(s[2] for s in samples),
        'memory_mb': [statistics.median(s[2] for s in part)
                      for part in (first, last)],
        # What leaks is open at every look, what is just being written is not.
        'files': [min(s[3] for s in part) for part in (first, last)]}
    # Whole epochs: between the looks that first saw one ended.
    ends = [b for a, b in zip(samples, samples[1:]) if b[1] > a[1]]
    third = len(ends) // 3
    if third:
        report['epoch_seconds'] = [
            (b[4] - a[4]) / (b[1] - a[1])
            for a, b in ((ends[0], ends[third]), (ends[-third - 1], ends[-1]))]
    report['grown_mb'] = report['memory_mb'][1] - report['memory_mb'][0]
    report['holds'] = (report['grown_mb'] <= LIMIT
                       and report['files'][1] <= report['files'][0])
    return report


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='run folder; a run in it is resumed')
    parser.add_argument('--minutes', type=float, default=60, metavar='M',
                        help='after the second epoch (default: 60)')
    parser.add_argument('--every', type=float, default=10, metavar='SECONDS')
    parser.add_argument('--data-root', metavar='DIR')
    parser.add_argument('--seed', default='1', metavar='N')
    parser.add_argument('--json', metavar='FILE', help='report goes there')
    args = parser.parse_args()
    command = [sys.executable, '-m', 'ram', 'train', args.config, '--out',
               args.out, '--seed', args.seed, '--resume']
    if args.data_root:
        command += ['--data-root', args.data_root]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    samples = watch(process, args.out, args.minutes, args.every)
    status = process.wait()
    if status not in (0, 128 + signal.SIGTERM):
        sys.exit(f'soak: the training ended with status {status}')
    report = check_samples(samples)
    if args.json:
        write_json(args.json, report)
        print(f'written: {args.json}')
    before, after = report['memory_mb']
    print(f'{report["minutes"]:.0f} min, {report["epochs"]} epochs: '
          f'{before:.1f} MB after the second epoch, {after:.1f} MB at the end, '
          f'{report["files"][0]} and {report["files"][1]} open files')
    if 'epoch_seconds' in report:
        print('an epoch took {:.2f} s of the processor at first and {:.2f} s '
              'at the end'.format(*report['epoch_seconds']))
    print('holds' if report['holds'] else 'does not hold')
    return 0 if report['holds'] else 1


if __name__ == '__main__':
    sys.exit(main())
