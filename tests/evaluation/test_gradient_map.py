import os
import re

import numpy
import pytest
from training_runs import TOP

from ram.config import config_from_dict
from ram.evaluation.gradient_map import gradient_map, gradient_table
from ram.models.build import build_ram
from ram.random_streams import make_streams

README = os.path.join(TOP, 'README.md')


@pytest.mark.parametrize('core', ['lstm', 'rnn'])
@pytest.mark.parametrize('reaches_core', [False, True])
def test_each_term_reaches_its_part(core, reaches_core):
    config = config_from_dict(
        {'training': {'reinforce_reaches_core': reaches_core},
         'model': {'core': core, 'glimpses': 3, 'core_units': 16}}, 'test')
    streams = make_streams(0)
    model = build_ram(config, streams['weights'])
    rng = numpy.random.default_rng(0)
    got = gradient_map(model, rng.random((9, 1, 28, 28), 'float32'),
                       rng.integers(10, size=9).astype('int32'), streams)
    assert got == {
        'action': {'glimpse', 'core', 'action'},
        'reinforce': ({'glimpse', 'core', 'location'} if reaches_core
                      else {'location'}),
        'baseline': {'baseline'}}


def test_the_readme_shows_it():
    with open(README, encoding='utf-8') as file:
        shown = re.search('<!-- gradient map -->\n(.*?)\n<!-- /gradient map',
                          file.read(), re.DOTALL)
    assert shown.group(1) == gradient_table()
