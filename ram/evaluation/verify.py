"""Checks that a network is as good as its record says."""

import json
import os
from typing import List, NamedTuple, Optional

import chainer

from ram.checkpoint import load_checkpoint
from ram.config import RESUMABLE, RUN_OPTIONS, differences, load_config
from ram.data.splits import fixed_canvases, load_splits
from ram.errors import RamError
from ram.evaluation.play import evaluate_split
from ram.files import read_log


class Finding(NamedTuple):
    """One comparison: what, as recorded, as found, and whether they agree."""

    what: str
    recorded: str
    found: str
    holds: bool


def verify(folder: str, device: chainer.backend.Device,
           root: Optional[str] = None) -> List[Finding]:
    """Measures a run's best network again and compares with its record.

    The error is exactly the same on the machine of the training, with the
    same number of threads. Keys that may change on ``--resume`` may differ
    between ``best.npz`` and ``config.yaml``.

    Raises:
        RamError: If no epoch is finished, or a file is damaged.

    """
    if not os.path.isdir(folder):
        raise RamError(f'{folder}: no such folder; name the run folder that '
                       'ram train has made')
    best = load_checkpoint(os.path.join(folder, 'best.npz'))
    config = load_config(os.path.join(folder, 'config.yaml'))
    changed = [key for key, _, _ in differences(
        best.config, config, RUN_OPTIONS + RESUMABLE)]
    epoch = best.metrics.get('epoch')
    recorded = best.metrics.get('validation_error')
    logged = {entry['epoch']: entry.get('validation/main/error')
              for entry in read_log(folder)}.get(epoch)
    best.model.to_device(device)
    if changed:  # the network may not take the images of config.yaml
        config = best.config
    result = _measure(best.model, config, load_splits(config.data, root),
                      'validation')
    return [
        Finding('configuration of best.npz', 'config.yaml',
                f'another {", ".join(changed)}' if changed else 'the same',
                not changed),
        Finding(f'validation error at epoch {epoch}',
                f'best.npz {recorded} %', f'log {logged} %',
                recorded == logged),
        Finding(f'validation error on {result.n} images', f'{recorded} %',
                f'{result.error} %', recorded == result.error)]


def verify_pretrained(name: str, device: chainer.backend.Device,
                      root: Optional[str] = None) -> List[Finding]:
    """Measures ``pretrained:NAME`` again and compares with its card.

    Raises:
        RamError: If there is no such network, or a file is damaged.

    """
    loaded = load_checkpoint(name)
    path = loaded.path[:-len('npz')] + 'json'
    try:
        with open(path) as file:
            card = json.load(file)
        recorded = {'validation': card['validation_error'],
                    'test': card['error']}
    except (OSError, ValueError, KeyError) as error:
        raise RamError(f'{path}: cannot be read ({error}); install the '
                       'program again') from error
    loaded.model.to_device(device)
    splits = load_splits(loaded.config.data, root)
    findings = []
    for part, error in recorded.items():
        result = _measure(loaded.model, loaded.config, splits, part)
        findings.append(Finding(
            f'{part} error on {result.n} images', f'{error} %',
            f'{result.error} %', error == result.error))
    return findings


def _measure(model, config, splits, part):
    images, labels, _ = fixed_canvases(config.data, splits, part)
    return evaluate_split(model, images, labels, config, part)
