"""What the tests of trainings share."""

import io
import json
import os

import chainer

from ram import checkpoint
from ram.config import config_from_dict
from ram.data.splits import load_splits
from ram.training import build, run

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CPU = chainer.get_device('@numpy')


def make_config(training=None, model=None, every=1, **data):
    """A small network on a few synthetic digits."""
    return config_from_dict({
        'data': {'name': 'synthetic', 'train_images': 300, 'validation': 100,
                 'test_images': 50, **data},
        'model': {'glimpses': 3, 'core_units': 16, 'glimpse_units': 16,
                  'what_units': 16, 'where_units': 8, 'location_units': 8,
                  **(model or {})},
        'training': {'epochs': 3, 'batch_size': 32, **(training or {})},
        'evaluation': {'every': every}},
        'test')


def train(config, out, **options):
    """Trains in a run folder; as :func:`ram.training.run.train`."""
    return run.train(config, str(out), CPU, stream=io.StringIO(), **options)


def begin(config, out, device=CPU, **options):
    """A trainer that has not run, with its SaveBest and its Snapshot."""
    os.mkdir(out)
    return build.build_trainer(config, load_splits(config.data), str(out),
                             device, io.StringIO(), **options)


def log_of(out):
    """The log of a run folder, but for the time."""
    with open(os.path.join(out, 'log')) as file:
        return [{k: v for k, v in entry.items() if k != 'elapsed_time'}
                for entry in json.load(file)]


def arrays_of(path, kind='checkpoint'):
    """What a checkpoint or a snapshot holds, but for the time."""
    arrays = checkpoint.read_arrays(str(path), kind)[0]
    return {k: v for k, v in arrays.items() if 'elapsed' not in k
            and 'LogReport' not in k and '_plot' not in k}


def assert_same_run(one, two):
    """Asserts that two run folders are equal bit for bit."""
    for name in ('best.npz', 'last.npz', 'snapshot.npz'):
        kind = 'snapshot' if name == 'snapshot.npz' else 'checkpoint'
        a, b = (arrays_of(os.path.join(out, name), kind)
                for out in (one, two))
        assert a.keys() == b.keys()
        for key in a:
            assert a[key].tobytes() == b[key].tobytes(), key
    assert log_of(one) == log_of(two)
