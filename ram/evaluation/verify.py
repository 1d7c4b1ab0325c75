"""Does a run folder say of its network what the network does?"""

import json
import os
from typing import NamedTuple

from ram.checkpoint import load_checkpoint
from ram.config import load_config
from ram.data.splits import fixed_canvases, load_splits
from ram.errors import RamError
from ram.evaluation.evaluate import evaluate, evaluation_streams


class Finding(NamedTuple):
    """One thing that was compared.

    Attributes:
        what (str): The thing.
        told (str): What the run folder says.
        found (str): What was found.
        holds (bool): Whether they agree.

    """

    what: str
    told: str
    found: str
    holds: bool


def verify(folder, device, root=None):
    """Measures a run's best network again and compares with its record.

    On the machine and with the number of threads of the training the error
    comes out the same to the last image.

    Args:
        folder (str): Run folder.
        device (chainer.backend.Device): Where to measure.
        root (str): Data root, if not the configuration's.

    Returns:
        list of Finding

    Raises:
        RamError: Where the folder holds no finished epoch, or a file of it
            is damaged.

    """
    path = os.path.join(folder, 'best.npz')
    if not os.path.isdir(folder):
        raise RamError(f'{folder}: no such folder; name the run folder that ram '
                       'train has made')
    best = load_checkpoint(path)
    config = load_config(os.path.join(folder, 'config.yaml'))
    epoch = best.metrics.get('epoch')
    told = best.metrics.get('validation_error')
    logged = _read_log(folder).get(epoch)
    best.model.to_device(device)
    splits = load_splits(config.data, root)
    images, labels, _ = fixed_canvases(config.data, splits, 'validation')
    result = evaluate(best.model, images, labels,
                      evaluation_streams(config.data, 'validation'),
                      batch_size=config.evaluation.batch_size)
    return [
        Finding('configuration of best.npz', 'config.yaml',
                'the same' if best.config == config else 'another',
                best.config == config),
        Finding(f'validation error at epoch {epoch}', f'best.npz {told} %',
                f'log {logged} %', told == logged),
        Finding(f'validation error on {result.n} images', f'{told} %',
                f'{result.error} %', told == result.error)]


def _read_log(folder):
    """Validation errors by epoch."""
    path = os.path.join(folder, 'log')
    try:
        with open(path) as file:
            return {entry['epoch']: entry.get('validation/main/error')
                    for entry in json.load(file)}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RamError(f'{path}: no log that can be read ({error}); go on '
                       'with the run by ram train --resume, which writes it')
