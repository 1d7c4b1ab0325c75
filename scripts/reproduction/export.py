"""Networks that ship with the program."""

import argparse
import hashlib
import json
import os
from typing import Iterable

import numpy

from ram.checkpoint import (
    MANTISSA,
    PRETRAINED,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ram.data.splits import fixed_canvases, load_splits
from ram.evaluation.evaluate import evaluation_streams, predict
from ram.files import write_json
from reproduction.records import read_records
from reproduction.runs import Run

FEWEST_BITS = 10  # of the mantissa, as in float16


def export(names: Iterable[str], args: argparse.Namespace) -> None:
    """Ships each row's best checkpoint, with a card, in ram/pretrained/.

    Of several seeds it takes the one with the least validation error, and
    measures it anew. See :func:`store` for the precision of the weights.
    """
    for name in names:
        runs = [(record, Run(name, record['seed'], args))
                for record in read_records([name])]
        runs = [(record, run) for record, run in runs
                if os.path.exists(run.best)]
        if not runs:
            continue
        record, run = min(runs, key=lambda r: r[0]['validation_error'])
        loaded = run.load_best()
        path = os.path.join(PRETRAINED, name + '.npz')
        bits = store(loaded, path, args.data_root)
        # The record is of the network that ships, to the last image.
        run.write_record(path, record['commit'])
        with open(run.record) as file:
            record = json.load(file)
        with open(path, 'rb') as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        card = {key: record[key] for key in (
            'row', 'seed', 'error', 'interval', 'n', 'validation_error',
            'epoch', 'command', 'commit')}
        card.update(sha256=digest, mantissa_bits=bits,
                    config=loaded.config.as_dict())
        write_json(path[:-4] + '.json', card)
        print(f'written: {path} ({os.path.getsize(path) / 1e6:.1f} MB), '
              f'pretrained:{name}, {record["error"]:.2f} %')


def store(loaded: Checkpoint, path: str, data_root: str) -> int:
    """Stores a network in as few bits as validation allows.

    The weights are rounded to the fewest bits of their mantissa with which
    every predicted class of the validation images stays the same. The test
    images decide nothing. Returns the number of bits.
    """
    data = loaded.config.data
    images, _, _ = fixed_canvases(data, load_splits(data, data_root),
                                  'validation')

    def classes(model):
        streams = evaluation_streams(data, 'validation')
        return predict(model, images, streams).probabilities[-1].argmax(
            axis=1)

    wanted = classes(loaded.model)
    for bits in range(FEWEST_BITS, MANTISSA + 1):
        save_checkpoint(path, loaded.model, loaded.config, loaded.metrics,
                        bits)
        if numpy.array_equal(classes(load_checkpoint(path).model), wanted):
            break
    return bits
