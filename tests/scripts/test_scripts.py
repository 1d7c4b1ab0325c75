"""The scripts that measure, on the CPU and on little."""

import json
import os
import subprocess
import sys

import chainer
import pytest
from training_runs import CPU, TOP, make_config

from ram.fast import products
from ram.fast.engine import Engine

SCRIPTS = os.path.join(TOP, 'scripts')


def run(folder, name, *arguments):
    return subprocess.run(
        [sys.executable, os.path.join(SCRIPTS, name), *arguments], cwd=folder,
        env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True,
        text=True)


@pytest.mark.parametrize('threads, engines, others, more', [
    (1, ['auto'], ['floor'], ['infer']),
    (1, ['fused', 'links'], ['links', 'floor'], ['infer']),
    (2, ['fused'], ['one thread'], [])])
def test_benchmark(tmp_path, threads, engines, others, more):
    (tmp_path / 'c.yaml').write_text(
        'model: {glimpses: 2, core: rnn, core_units: 16}\n'
        f'training: {{batch_size: 8, threads: {threads}}}')
    done = run(tmp_path, 'benchmark.py', 'c.yaml', '--repeats', '2',
               '--iterations', '2', '--json', 'speed.json', '--engine',
               *engines)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / 'speed.json') as file:
        row = json.load(file)['rows']['c']
    assert set(row) == {
        *(f'{work} images/s' for work in ['fused', *others, *more]),
        *(f'fused / {other}' for other in others)}
    for figure in row.values():
        assert 0 < figure['least'] <= figure['median'] <= figure['greatest']


def test_benchmark_replays_the_products_of_the_device_engine(
        kernels_as_cpp, monkeypatch, load_script):
    monkeypatch.setattr('ram.training.build.select_engine',
                        lambda *args: Engine('device', ''))
    subject = load_script('benchmark').Subject(
        make_config({'batch_size': 8}), CPU, 64)
    recorded = len(subject.products)
    done, dot = [], products.NumpyProducts.dot
    monkeypatch.setattr(products.NumpyProducts, 'dot', staticmethod(
        lambda *args, **options: done.append(1) or dot(*args, **options)))
    subject.train()
    # The floor repeats them all, and is recorded once.
    assert recorded == len(done) > 20
    subject.floor()
    assert len(subject.products) == recorded


def test_benchmark_without_its_configuration(tmp_path):
    assert run(tmp_path, 'benchmark.py', 'no.yaml').returncode == 2


@pytest.mark.skipif(chainer.backends.cuda.available, reason='there is CuPy')
def test_gpu_check_without_a_gpu(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu')
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert '--device @cupy:0' in done.stderr


def test_gpu_check_in_all_but_the_gpu(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu', '--device', '@numpy',
               '--limit', '300', '--repeats', '1', '--iterations', '1',
               '--batches', '8',
               '--configs', 'mnist', '--images', '20', '--set',
               'training.epochs=2', 'data.train_images=1200',
               'data.test_images=50', 'model.core=rnn',
               'training.batch_size=20')
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(os.listdir(tmp_path / 'gpu')) == ['gpu_report.json', 'run']
    with open(tmp_path / 'gpu' / 'gpu_report.json') as file:
        report = json.load(file)
    assert list(report['parts']) == ['speed', 'training', 'evaluation']
    row, = report['parts']['speed']['rows']
    assert row['config'] == 'mnist' and row['batch'] == 8
    assert 0 < row['train']['median'] < row['products']['median']
    assert row['share'] < 1
    training = report['parts']['training']
    assert training['test_error'] < 100
    assert 0 < training['epoch_seconds'] < training['seconds']
    assert report['parts']['evaluation']['images_per_second'] > 0


def test_gpu_check_reports_what_succeeded(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu', '--device', '@numpy',
               '--limit', '300', '--parts', 'training', 'evaluation',
               '--images', '20', '--set', 'model.core=nothing')
    assert done.returncode == 1
    with open(tmp_path / 'gpu' / 'gpu_report.json') as file:
        parts = json.load(file)['parts']
    assert parts['training']['problem'] == 'ended with status 2'
    assert parts['evaluation']['images_per_second'] > 0
    assert 'training: ended with status 2' in done.stdout
    assert done.stdout.strip().split('\n')[-1] == (
        'written: ' + os.path.join('gpu', 'gpu_report.json'))


def test_gpu_check_ends_a_part_in_time(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu', '--device', '@numpy',
               '--parts', 'training', 'evaluation', '--limit', '0.5')
    assert done.returncode == 1
    assert 'training: took more than 0.5 s' in done.stdout
    assert 'evaluation: took more than 0.5 s' in done.stdout


def test_gpu_check_fits_into_four_minutes(load_script):
    limits = load_script('gpu_check').LIMITS
    assert set(limits) == set(load_script('gpu_check').PARTS)
    assert sum(limits.values()) < 240


def test_chaos(tmp_path):
    done = run(tmp_path, 'checks/chaos.py', '--kills', '2', '--epochs', '3',
               '--full-disk')
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().split('\n')[-1]
    assert last.startswith('2 kills') and 'equal bit for bit' in last


def test_soak(tmp_path):
    (tmp_path / 'c.yaml').write_text(
        'data: {name: synthetic, train_images: 400, validation: 50, '
        'test_images: 10}\n'
        'model: {glimpses: 2, core: rnn, core_units: 16}\n'
        'training: {epochs: 10000}')
    command = ['checks/soak.py', 'c.yaml', '--out', 'run', '--minutes', '0.06',
               '--every', '0.3', '--json', 'soak.json']
    done = run(tmp_path, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / 'soak.json') as file:
        report = json.load(file)
    assert report['holds'] and report['epochs'] > 1
    assert report['files'][1] >= 3  # it saw the process's own
    assert (tmp_path / 'run' / 'snapshot.npz').exists()


def test_what_soak_finds(load_script):
    check_samples = load_script('checks/soak').check_samples
    # A look a second, an epoch every four; in the last third one takes five.
    ends = [4 * i for i in range(1, 21)] + [80 + 5 * i for i in range(1, 11)]
    samples = [(float(t), sum(end <= t for end in ends), 100.0, 8, t / 2)
               for t in range(131)]
    report = check_samples(samples)
    assert report['holds'] and report['grown_mb'] == 0
    assert report['epoch_seconds'] == [2.0, 2.5]
    grows = [s[:2] + (100.0 + s[0] / 4,) + s[3:] for s in samples]
    assert not check_samples(grows)['holds']
    leaks = [s[:3] + (8 + s[1],) + s[4:] for s in samples]
    assert not check_samples(leaks)['holds']
    # At two looks of three a file is just being written.
    writes = [s[:3] + (8 + (i % 3 > 0),) + s[4:]
              for i, s in enumerate(samples)]
    assert check_samples(writes)['holds'] and check_samples(writes)['files'] == [8, 8]
    one = [s[:3] + (s[3] + (s[0] > 60),) + s[4:] for s in writes]
    assert not check_samples(one)['holds'] and check_samples(one)['files'] == [8, 9]


def test_shapes_from_drawing_to_training(tmp_path):
    done = run(tmp_path, 'make_shapes.py', '--images', '20')
    assert done.returncode == 0, done.stderr
    names = ['circle', 'cross', 'square', 'triangle']
    assert sorted(os.listdir(tmp_path / 'shapes')) == names
    again = run(tmp_path, 'make_shapes.py', '--images', '20', '--out', 'x')
    assert again.returncode == 0
    for name in names:
        files = sorted(os.listdir(tmp_path / 'shapes' / name))
        assert len(files) == 20
        contents = {(tmp_path / 'shapes' / name / file).read_bytes()
                    for file in files}
        assert len(contents) == 20
        assert (tmp_path / 'x' / name / files[0]).read_bytes() in contents
    done = run(tmp_path, 'train.py', os.path.join(
        os.path.dirname(SCRIPTS), 'configs', 'shapes.yaml'), '--out', 'run',
        '--set', 'training.epochs=1', 'data.validation=10')
    assert done.returncode == 0, done.stderr
    with open(tmp_path / 'run' / 'config.yaml') as file:
        text = file.read()
    assert all(f'  - {name}\n' in text for name in names)


def test_fuzz(tmp_path):
    done = run(tmp_path, 'checks/fuzz.py', '--minutes', '0.02', '--findings',
               'found', '--json', 'fuzz.json')
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / 'fuzz.json') as file:
        results = json.load(file)
    assert [result['target'] for result in results] == [
        'config', 'idx', 'npz', 'picture', 'checkpoint']
    assert all(result['cases'] > 10 for result in results)
    assert not os.listdir(tmp_path / 'found')


def test_fuzz_finds(tmp_path):
    # The same readers, one of which now fails: the report must say so.
    (tmp_path / 'sitecustomize.py').write_text(
        'import ram.compat, ram.data.idx\n'
        'def parse(content, ndim, path):\n    raise ZeroDivisionError\n'
        'ram.data.idx.parse_idx = parse\n')
    done = subprocess.run(
        [sys.executable, os.path.join(SCRIPTS, 'checks/fuzz.py'), '--minutes',
         '0.01', '--target', 'idx', '--findings', 'found'],
        cwd=tmp_path, capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)))
    assert done.returncode == 1 and 'ZeroDivisionError in' in done.stdout
    assert {'idx-1', 'idx-1.txt'} == set(os.listdir(tmp_path / 'found'))


def test_the_targets_of_gpu_check(load_script):
    script = load_script('gpu_check')

    def row(batch, mode, speed):
        return {'config': 'mnist', 'batch': batch, 'mode': mode,
                'train': {'median': speed}, 'share': speed / 4e5}

    training = {'data': 'mnist', 'overrides': [], 'test_error': 1.2,
                'seconds': 40.5}
    report = {'parts': {
        'speed': {'rows': [row(128, 'float32', 249999.0),
                           row(128, 'TF32', 350000.0),
                           row(1024, 'TF32', 1.6e6), row(512, 'TF32', 1.0)],
                  'problem': 'took more than 70 s'},
        'training': training}}
    assert [(found, holds) for _, _, found, holds in script.targets(report)
            ] == [(249999, False), (0.62, False), (350000, True),
                  (0.88, True), (1600000, True), (1.2, True), (40.5, False)]
    training['overrides'] = ['training.epochs=1']
    assert len(script.targets(report)) == 5
    assert script.targets({'parts': {'tests': {'problem': 'x'}}}) == []
