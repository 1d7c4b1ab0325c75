"""The network that a configuration names."""

from functools import partial

import chainer
import numpy

from ram import links
from ram.config import Config
from ram.errors import RamError
from ram.games.catch import Catch
from ram.models.comparison import build_comparison
from ram.models.parts import describe, import_module, make_part
from ram.models.player import Player
from ram.models.ram import RAM
from ram.random_streams import make_streams


def build_network(config: Config,
                  rng: numpy.random.Generator) -> chainer.Chain:
    """Builds RAM or one of the paper's networks for comparison.

    Args:
        config: ``model.network`` names it; channels and classes are in
            ``data``.
        rng: Samples the initial weights.

    Returns:
        On the CPU, float32.

    Raises:
        RamError: Where a class is named that is not imported, or is no such
            part.

    """
    if config.model.network != 'ram':
        return build_comparison(config, rng)
    model, data = config.model, config.data

    def make(key, *sizes):
        return make_part(key, getattr(model, key), *sizes, rng)

    sensor = links.GlimpseSensor(model.glimpse_size, model.scales,
                                 model.scale_factor)
    sensor.coarse = model.coarse
    cls = partial(Player, Catch.of(data)) if data.is_game else RAM
    with chainer.using_config('dtype', 'float32'):
        network = cls(
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
    if 'location_network' not in model.own_parts:
        network.location.squash = model.location_squash == 'tanh'
    return network


def import_parts(config: Config) -> None:
    """Imports the user's own classes that a configuration names.

    Their modules are run, so this is for the user's own configurations only.
    The network is tried on two blank images, so that a mistake shows before
    the images are read and not in the middle of a training.

    Args:
        config: Nothing is done where all parts are built in.

    Raises:
        RamError: Where a module or a class is missing, or the network is not
            what the rest of the program needs.

    """
    if config.model.network != 'ram' or not config.model.own_parts:
        return
    for key, name in config.model.own_parts.items():
        import_module(name.rpartition('.')[0], f'model.{key}: {name}')
    named = ', '.join(f'model.{key}: {name}'
                      for key, name in config.model.own_parts.items())
    try:
        problem = _find_problem(config)
    except RamError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise RamError(f'{named}: fails on two blank images: '
                       f'{describe(error)}') from error
    if problem:
        raise RamError(f'{named}: {problem}')


def _find_problem(config):
    """What the program cannot work with in a network, or None."""
    network, again = (build_network(config, make_streams(0)['weights'])
                      for _ in range(2))
    for name, link in network.namedlinks():
        if link._persistent:  # what Chainer saves beside the weights
            return (f'{name} keeps values beside its weights '
                    f'({", ".join(sorted(link._persistent))}), which no '
                    'checkpoint holds; LayerNormalization does not')
    weights = dict(again.namedparams())
    for name, param in network.namedparams():
        if not param.is_initialized:
            return (f'{name} has no shape yet; give every Link the size of '
                    'its input')
        if not numpy.array_equal(param.array, weights[name].array):
            return (f'{name} is sampled anew each time; give its Link '
                    "initialW=LeCunNormal(rng=rng), with the constructor's "
                    'rng')
    return _wrong_shape(network, config)


def _wrong_shape(network, config):
    """The first array of a rollout with another shape or dtype, or None."""
    images = numpy.zeros(
        (2, config.data.channels) + config.data.canvas_size, 'float32')
    steps, units = config.model.glimpses, config.model.core_units
    with chainer.no_backprop_mode():
        rollout = network(images, *network.sample_noise(make_streams(0), 2))
        for name, array, shape in (
                ('the states', rollout.states, (steps, 2, units)),
                ('the means', rollout.means, (steps - 1, 2, 2)),
                ('the logits', network.action(rollout.states),
                 (steps, 2, config.data.classes)),
                ('the expected rewards',
                 network.baseline(rollout.states[:-1]), (steps - 1, 2))):
            if array.shape != shape or array.dtype != 'float32':
                return (f'{name} of {steps} glimpses of two images are '
                        f'{array.dtype} of shape {array.shape}, and must be '
                        f'float32 of shape {shape}')
    return None
