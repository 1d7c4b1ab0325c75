"""The network that a configuration names."""

import chainer
import numpy

from ram import links
from ram.errors import RamError
from ram.models.comparison import build_baseline
from ram.models.parts import import_module, make_part
from ram.models.ram import RAM
from ram.random_streams import make_streams


def build_network(config, rng):
    """Builds RAM or a baseline.

    Args:
        config (ram.config.Config): ``model.network`` says which.
        rng (numpy.random.Generator): Draws the initial weights.

    Returns:
        ram.models.ram.RAM or ram.models.comparison.Baseline: On the CPU, float32.

    Raises:
        RamError: See :func:`ram.models.ram.build_ram`.

    """
    build = build_ram if config.model.network == 'ram' else build_baseline
    return build(config, rng)


def import_parts(config):
    """Imports the classes of the user's own that a configuration names.

    Their modules are run: for the user's own configurations only. What they
    make is tried on two blank images, so that a slip shows before the images
    are read and not in the middle of a training.

    Args:
        config (ram.config.Config): Nothing is done where all is built in.

    Raises:
        RamError: Where a module or a class is missing, or the network is not
            what the rest of the program needs.

    """
    if config.model.network != 'ram' or not config.model.own_parts:
        return
    for key, name in config.model.own_parts.items():
        import_module(name.rpartition('.')[0], f'model.{key}: {name}')
    network, again = (build_network(config, make_streams(0)['weights'])
                      for _ in range(2))
    named = ', '.join(f'model.{key}: {name}'
                      for key, name in config.model.own_parts.items())
    for name, link in network.namedlinks():
        if link._persistent:  # what Chainer saves beside the weights
            raise RamError(f'{named}: {name} keeps values beside its weights '
                           f'({", ".join(sorted(link._persistent))}), which '
                           'no checkpoint holds; LayerNormalization does not')
    for name, param in network.namedparams():
        if not param.is_initialized:
            raise RamError(f'{named}: {name} has no shape yet; give every '
                           'Link the size of its input')
    weights = dict(again.namedparams())
    for name, param in network.namedparams():
        if not numpy.array_equal(param.array, weights[name].array):
            raise RamError(f'{named}: {name} is drawn anew each time; give '
                           'its Link initialW=LeCunNormal(rng=rng), with the '
                           "constructor's rng")
    try:
        problem = _misshapen(network, config)
    except Exception as error:  # of somebody's own code, of any kind
        words = ' '.join(str(error).split())
        raise RamError(f'{named}: fails on two blank images: '
                       f'{type(error).__name__}: {words:.200}; --debug shows '
                       'where') from error
    if problem:
        raise RamError(f'{named}: {problem}')


def _misshapen(network, config):
    """What in a rollout is not as it should be, or None."""
    images = numpy.zeros(
        (2, config.data.channels) + config.data.canvas_size, 'float32')
    with chainer.no_backprop_mode():
        rollout = network(images, *network.draw(make_streams(0), len(images)))
        found = {
            'the states': rollout.states, 'the means': rollout.means,
            'the logits': network.action(rollout.states),
            'the expected rewards': network.baseline(rollout.states[:-1])}
    steps, units = config.model.glimpses, config.model.core_units
    wanted = {'the states': (steps, 2, units),
              'the means': (steps - 1, 2, 2),
              'the logits': (steps, 2, config.data.classes),
              'the expected rewards': (steps - 1, 2)}
    for name, array in found.items():
        if array.shape != wanted[name] or array.dtype != 'float32':
            return (f'{name} of {steps} glimpses at two images are '
                    f'{array.dtype} of shape {array.shape}, and must be '
                    f'float32 of shape {wanted[name]}')


def build_ram(config, rng):
    """Builds the network that a configuration describes.

    Args:
        config (ram.config.Config): All of it: channels and classes stand
            under ``data``.
        rng (numpy.random.Generator): Draws the initial weights.

    Returns:
        RAM: On the CPU, float32.

    Raises:
        RamError: Where it names a class that is not imported, or is no such
            part.

    """
    model, data = config.model, config.data

    def make(key, *sizes):
        return make_part(key, getattr(model, key), *sizes, rng)

    sensor = links.GlimpseSensor(model.glimpse_size, model.scales,
                                 model.scale_factor)
    with chainer.using_config('dtype', 'float32'):
        return RAM(
            glimpse=make('glimpse_network', sensor, data.channels,
                         model.what_units, model.where_units,
                         model.glimpse_units),
            core=make('core', model.glimpse_units, model.core_units),
            location=make('location_network', model.core_units,
                          model.location_units),
            action=make('action_network', model.core_units, data.classes),
            baseline=make('baseline_network', model.core_units),
            glimpses=model.glimpses, std=model.std,
            first_location=model.first_location, policy=model.policy,
            reinforce_reaches_core=config.training.reinforce_reaches_core)
