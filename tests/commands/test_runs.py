"""Lists of runs and networks, curves of runs, warnings about a policy."""

import json
import os
import shutil

import numpy
import pytest
from PIL import Image
from training_runs import begin, make_config, train

from ram import checkpoint
from ram.commands.main import main
from ram.training.extensions import watch_policy
from ram.training.read_runs import find_runs
from ram.training.run_folder import prepare_folder

pytestmark = pytest.mark.usefixtures('no_figures')


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Two finished runs and one that was not, below a folder."""
    folder = tmp_path_factory.mktemp('runs')
    train(make_config({'epochs': 2}), folder / 'a')
    train(make_config({'epochs': 1}, {'std': 0.3}), folder / 'part' / 'b')
    config = make_config({'epochs': 2})
    with prepare_folder(str(folder / 'new'), config, False):
        pass
    return folder


def test_runs_lists_all_runs_below_a_folder(runs, capsys):
    assert main(['runs', str(runs)]) == 0
    head, a, new, b = capsys.readouterr().out.strip().split('\n')
    errors = find_runs(str(runs))[0].errors
    best = min(errors, key=errors.get)
    assert a.split()[:7] == [str(runs / 'a'), 'finished', '2/2',
                             f'{errors[best]:.2f}', '%', str(best),
                             a.split()[6]]
    assert new.split()[1:3] == ['stopped', '0/2']
    assert b.split()[1:3] == ['finished', '1/1']
    assert a.endswith('model.std=0.1 training.epochs=2') or a.endswith(
        'training.epochs=2 model.std=0.1')
    assert 'model.std=0.3' in b and 'training.epochs=1' in b
    assert len({line.index('%') for line in (a, b)}) == 1  # columns


def test_a_run_that_cannot_be_read_is_left_out(runs, tmp_path, capsys):
    for name in ('a', 'part/b'):
        shutil.copytree(runs / name, tmp_path / name)
    (tmp_path / 'a' / 'log').write_text('[{')
    (tmp_path / 'alien').mkdir()
    (tmp_path / 'alien' / 'config.yaml').write_text('kind: of another program')
    assert main(['runs', str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert 'part/b' in printed.out and printed.out.count('\n') == 2
    assert f'ram: left out: {tmp_path}/a/log: cannot be read' in printed.err
    assert f'ram: left out: {tmp_path}/alien/config.yaml: ' in printed.err


def test_a_run_without_patience_left_is_finished(tmp_path):
    config = make_config({'epochs': 5, 'early_stopping': 1,
                          'learning_rate': 1e-9})
    train(config, tmp_path / 'run')
    run, = find_runs(str(tmp_path))
    assert (run.state, len(run.log)) == ('finished', 2)


def test_a_run_under_way_is_said_to_train(runs):
    config = make_config({'epochs': 2})
    with prepare_folder(str(runs / 'new'), config, True):
        assert [run.state for run in find_runs(str(runs))] == [
            'finished', 'training', 'finished']


def test_compare_draws_the_curves(runs, tmp_path, capsys):
    out = str(tmp_path / 'c.png')
    assert main(['compare', str(runs / 'a'), str(runs / 'part' / 'b'),
                 '--out', out]) == 0
    assert f'written: {out}' in capsys.readouterr().out
    with Image.open(out) as picture:
        both = numpy.asarray(picture.convert('RGB'), 'int')
    assert main(['compare', str(runs / 'a'), '--out', out]) == 0
    with Image.open(out) as picture:
        one = numpy.asarray(picture.convert('RGB'), 'int')
    assert both.shape == one.shape and (both != one).any()


@pytest.mark.parametrize('arguments, problem', [
    (['compare', '@/new'], 'new: no validation error yet'),
    (['compare', '@/a', '--out', 'x.gif'], 'x.gif: unknown format'),
    (['compare', '@'], ': holds no run; name a folder that ram train'),
    (['runs', '@/a/nothing'], 'nothing: holds no run; name a folder with')])
def test_what_is_no_run_is_refused(runs, capsys, arguments, problem):
    assert main([a.replace('@', str(runs)) for a in arguments]) == 2
    captured = capsys.readouterr().err
    assert problem in captured and captured.count('\n') == 1


def test_a_damaged_log_is_named(runs, tmp_path, capsys):
    (tmp_path / 'config.yaml').write_text(
        (runs / 'a' / 'config.yaml').read_text())
    for damaged in ('{', '[1]', '[{}]', '[' * 100000,
                    '[{"epoch": 1, "elapsed_time": "x"}]'):
        (tmp_path / 'log').write_text(damaged)
        assert main(['runs', str(tmp_path)]) == 2
        assert f'{tmp_path / "log"}: cannot be read' in (
            capsys.readouterr().err)


def test_pretrained_lists_what_the_cards_say(capsys):
    assert main(['pretrained']) == 0
    lines = capsys.readouterr().out.strip().split('\n')
    cards = sorted(name for name in os.listdir(checkpoint.PRETRAINED)
                   if name.endswith('.json'))
    assert len(lines) == 1 + len(cards) > 20
    for line, name in zip(lines[1:], cards):
        with open(os.path.join(checkpoint.PRETRAINED, name)) as file:
            card = json.load(file)
        assert line.startswith(f'pretrained:{name[:-5]} ')
        assert line.endswith(f' {card["error"]:.2f} %')
    wide, = (line for line in lines if line.startswith('pretrained:wide-8 '))
    assert wide.split()[1:7] == ['cluttered', 'mnist', '100x100', 'RAM', '8',
                                 '3.19']


def warnings_of(tmp_path, capsys, *, mean=None, **model):
    """The warnings of three epochs whose policy has a constant mean."""
    trainer = begin(make_config({'reinforce_weight': 0.0, 'engine': 'fused'},
                                {'std': 0.1, **model}),
                    tmp_path / 'run').trainer
    if mean is not None:
        location = trainer.updater.get_optimizer(
            'main').target.chain.model.location
        location.mean.W.array[...] = 0
        location.mean.b.array[...] = mean
    trainer.run()
    return [line for line in capsys.readouterr().err.split('\n') if line]


def test_locations_outside_the_image_give_one_warning(tmp_path, capsys):
    warning, = warnings_of(tmp_path, capsys, mean=3.0)
    assert warning.startswith('ram: warning: epoch 1: ')
    assert (' % of the locations lie outside the image; try a larger '
            'training.border_weight') in warning


def test_a_policy_without_eyes_gives_one_warning(tmp_path, capsys):
    warning, = warnings_of(tmp_path, capsys, mean=0.0)
    assert 'looks at the same locations whatever the image' in warning


def test_other_policies_give_no_warning(tmp_path, capsys):
    assert not warnings_of(tmp_path, capsys, policy='random')


def test_a_warning_is_not_repeated_after_a_resume(tmp_path):
    class Serializer:
        saved = {}

        def __call__(self, key, value):
            return self.saved.setdefault(key, value)

    config = make_config()
    one, two = (watch_policy.WatchPolicy(None, numpy.zeros(3), config)
                for _ in range(2))
    one._has_warned = True
    one.serialize(Serializer())
    two.serialize(Serializer())
    assert two._has_warned
