import os
import re

import numpy
import pytest
from training_runs import TOP, make_config

from ram.evaluation.gradient_map import gradient_map, gradient_table
from ram.models.build import build_network
from ram.random_streams import make_streams

README = os.path.join(TOP, 'ram', 'README.md')


@pytest.mark.parametrize('core', ['lstm', 'rnn'])
@pytest.mark.parametrize('reaches_core', [False, True])
def test_gradient_map_reaches_the_parts_of_each_term(core, reaches_core):
    config = make_config({'reinforce_reaches_core': reaches_core},
                         {'core': core})
    streams = make_streams(0)
    model = build_network(config, streams['weights'])
    rng = numpy.random.default_rng(0)
    got = gradient_map(model, rng.random((9, 1, 28, 28), 'float32'),
                       rng.integers(10, size=9).astype('int32'), streams)
    assert got == {
        'action': {'glimpse', 'core', 'action'},
        'reinforce': ({'glimpse', 'core', 'location'} if reaches_core
                      else {'location'}),
        'baseline': {'baseline'}}


def test_gradient_table_is_in_the_readme():
    with open(README, encoding='utf-8') as file:
        shown = re.search('<!-- gradient map -->\n(.*?)\n<!-- /gradient map',
                          file.read(), re.DOTALL)
    assert shown.group(1) == gradient_table()
