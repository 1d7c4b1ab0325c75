"""The scripts that measure, on the CPU and on little."""

import json
import os
import subprocess
import sys

import chainer
import pytest

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), 'scripts')


def run(folder, name, *arguments):
    return subprocess.run(
        [sys.executable, os.path.join(SCRIPTS, name), *arguments], cwd=folder,
        env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True,
        text=True)


def test_benchmark(tmp_path):
    (tmp_path / 'c.yaml').write_text(
        'model: {glimpses: 2, core: rnn, core_units: 16}\n'
        'training: {batch_size: 8}')
    done = run(tmp_path, 'benchmark.py', 'c.yaml', '--repeats', '2',
               '--iterations', '2', '--json', 'speed.json')
    assert done.returncode == 0, done.stderr
    with open(tmp_path / 'speed.json') as file:
        row = json.load(file)['rows']['c']
    assert set(row) == {'floor images/s', 'fused images/s', 'steps images/s',
                        'infer images/s', 'fused / steps', 'fused / floor'}
    for figure in row.values():
        assert 0 < figure['least'] <= figure['median'] <= figure['greatest']
    assert run(tmp_path, 'benchmark.py', 'no.yaml').returncode == 2


@pytest.mark.skipif(chainer.backends.cuda.available, reason='there is CuPy')
def test_gpu_check_without_a_gpu(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu')
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert '--device @cupy:0' in done.stderr


def test_gpu_check_in_all_but_the_gpu(tmp_path):
    done = run(tmp_path, 'gpu_check.py', '--out', 'gpu', '--device', '@numpy',
               '--repeats', '1', '--iterations', '1', '--batches', '8',
               '--set', 'training.epochs=1', 'data.train_images=1200',
               'data.test_images=50', 'model.core=rnn')
    assert done.returncode == 0, done.stderr
    with open(tmp_path / 'gpu' / 'gpu_report.json') as file:
        report = json.load(file)
    assert report['images_per_second']['8']['fused']['median'] > 0
    assert report['training']['validation_error'] < 100
