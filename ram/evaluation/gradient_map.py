"""Which term of the loss trains which part, by real backward passes."""

from typing import Dict, Set

import numpy

from ram.config import config_from_dict
from ram.evaluation.evaluate import Streams
from ram.losses import hybrid_loss
from ram.models.build import build_network
from ram.models.ram import RAM
from ram.random_streams import make_streams

TERMS = {'action': 'cross-entropy', 'reinforce': 'REINFORCE',
         'baseline': 'baseline error'}
PARTS = ('glimpse', 'core', 'location', 'action', 'baseline')


def gradient_map(model: RAM, images: numpy.ndarray, labels: numpy.ndarray,
                 streams: Streams) -> Dict[str, Set[str]]:
    """Finds the parts of a network that each term of the loss reaches.

    Args:
        model: At least two glimpses.
        images: (B, C, H, W) float32 in [0, 1].
        labels: (B,) int32.
        streams: Generators to sample from.

    Returns:
        For each of ``TERMS`` those of ``PARTS`` of which some parameter has a
        gradient other than zero.

    """
    reached = {}
    for term in TERMS:
        rollout = model(images, *model.sample_noise(streams, len(images)))
        loss = hybrid_loss(
            model.action(rollout.states[-1]), labels, rollout.sampled[1:],
            rollout.means, model.std, model.baseline(rollout.states[:-1]))
        model.cleargrads()
        getattr(loss, term).backward()
        reached[term] = {
            part for part in PARTS
            if any(param.grad is not None and param.grad.any()
                   for param in getattr(model, part).params())}
    return reached


def gradient_table() -> str:
    """The map of a small network for ``reinforce_reaches_core``, Markdown."""
    lines = ['| term of the loss | ' + ' | '.join(
        f'{part} network' if part != 'core' else part for part in PARTS)
        + ' |', '|---' * (len(PARTS) + 1) + '|']
    for switch in (False, True):
        config = config_from_dict(
            {'training': {'reinforce_reaches_core': switch},
             'model': {'glimpses': 3, 'core_units': 32}}, 'gradient map')
        streams = make_streams(0)
        rng = numpy.random.default_rng(0)
        reached = gradient_map(
            build_network(config, streams['weights']),
            rng.random((16, 1, 28, 28), 'float32'),
            rng.integers(10, size=16).astype('int32'), streams)
        for term in ['reinforce'] if switch else TERMS:
            title = TERMS[term] + (
                ', `reinforce_reaches_core: true`' if switch else '')
            lines.append(f'| {title} | ' + ' | '.join(
                'yes' if part in reached[term] else '–' for part in PARTS)
                + ' |')
    return '\n'.join(lines)
