import io
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import chainer
import numpy
import pytest
from training_runs import (
    CPU,
    arrays_of,
    assert_same_run,
    begin,
    log_of,
    make_config,
    train,
)

from ram import checkpoint
from ram.config import config_from_dict, load_config
from ram.errors import RamError
from ram.fast import heads, recurrence
from ram.training import run, train_chain
from ram.training.distributed import SingleProcess
from ram.training.extensions.check_finite import CheckFinite
from ram.training.extensions.learning_rate import LearningRate
from ram.training.extensions.snapshot import Snapshot
from ram.training.run_folder import prepare_folder
from ram.training.signals import StopTrigger

pytestmark = pytest.mark.usefixtures('no_figures')


def test_the_same_seed_is_the_same_run(tmp_path):
    config = make_config()
    for name in ('one', 'two'):
        outcome = train(config, tmp_path / name)
    assert_same_run(tmp_path / 'one', tmp_path / 'two')
    other = make_config({'seed': 2})
    train(other, tmp_path / 'three')
    a, b = (arrays_of(tmp_path / name / 'last.npz')
            for name in ('one', 'three'))
    assert any((a[key] != b[key]).any() for key in a)
    assert sorted(os.path.basename(f) for f in outcome.files) == [
        'best.npz', 'config.yaml', 'last.npz', 'log', 'snapshot-before.npz',
        'snapshot.npz', 'versions.json']
    assert len(os.listdir(tmp_path / 'two')) == 8  # and the lock


@pytest.mark.parametrize('schedule', ['cosine', 'plateau'])
def test_an_interrupted_run_ends_as_one_that_was_not(
        tmp_path, monkeypatch, schedule):
    config = make_config({'schedule': schedule, 'plateau_patience': 1,
                          'average': 0.9 if schedule == 'plateau' else 0.0},
                         variant='translated', canvas=32)
    train(config, tmp_path / 'whole')
    call = StopTrigger.__call__
    for stop in (3, 9, 11):  # in the first epoch, and later twice
        def interrupted(self, trainer, stop=stop):
            if trainer.updater.iteration == stop:
                self.signal = signal.SIGINT
            return call(self, trainer)

        monkeypatch.setattr(StopTrigger, '__call__', interrupted)
        outcome = train(config, tmp_path / 'parts',
                        resume=(tmp_path / 'parts').exists())
        assert outcome.interrupted == signal.SIGINT
    monkeypatch.setattr(StopTrigger, '__call__', call)
    outcome = train(config, tmp_path / 'parts', resume=True)
    assert not outcome.interrupted
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_a_snapshot_by_time_is_as_good_as_one_by_epoch(
        tmp_path, monkeypatch):
    config = make_config({'snapshot_minutes': 1e-6, 'average': 0.9})
    train(config, tmp_path / 'whole')
    whole = log_of(tmp_path / 'whole')

    def killed(self, trainer):
        if trainer.updater.iteration == 10:
            raise KeyboardInterrupt  # nothing can be saved

    monkeypatch.setattr(CheckFinite, '__call__', killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / 'parts')
    monkeypatch.undo()
    meta = checkpoint.read_arrays(
        str(tmp_path / 'parts' / 'snapshot.npz'), 'snapshot')[1]
    assert meta['iteration'] == 9  # of 7 in an epoch
    train(config, tmp_path / 'parts', resume=True)
    assert log_of(tmp_path / 'parts') == whole
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')


def test_a_run_of_a_program_that_knew_fewer_keys_is_resumed(tmp_path):
    config = make_config({'epochs': 2})
    train(config, tmp_path / 'run')
    path = str(tmp_path / 'run' / 'snapshot.npz')
    arrays, meta = checkpoint.read_arrays(path, 'snapshot')
    del meta['config']['model']['glimpse_network']
    checkpoint.write_arrays(path, 'snapshot', arrays, meta)
    assert train(config, tmp_path / 'run', resume=True).epoch
    meta['config']['model']['glimpse_network'] = 'other.Network'
    checkpoint.write_arrays(path, 'snapshot', arrays, meta)
    with pytest.raises(RamError, match='model.glimpse_network other.Network '
                                       'there, ram.links.GlimpseNetwork'):
        train(config, tmp_path / 'run', resume=True)


def test_the_evaluation_changes_nothing_of_the_training(tmp_path):
    for every in (1, 2, 3):
        config = config_from_dict(
            {**make_config({'epochs': 5}).as_dict(),
             'evaluation': {'every': every}}, 'test')
        train(config, tmp_path / str(every))
    measured = [[entry['epoch'] for entry in log_of(tmp_path / str(every))
                 if 'validation/main/error' in entry] for every in (1, 2, 3)]
    assert measured == [[1, 2, 3, 4, 5], [2, 4, 5], [3, 5]]
    # And none at all.
    config = make_config({'epochs': 5})
    trainer, *_ = begin(config, tmp_path / 'none')
    bare = chainer.training.Trainer(trainer.updater, trainer.stop_trigger,
                                    trainer.out)
    bare.reporter = trainer.reporter
    for name in ('LearningRate', 'Snapshot'):
        bare.extend(trainer.get_extension(name))
    bare.run()
    trainer.get_extension('Snapshot').save(bare)
    runs = [arrays_of(tmp_path / name / 'snapshot.npz', 'snapshot')
            for name in ('1', '2', '3', 'none')]
    compared = 0
    for key in runs[0]:
        if key.startswith('updater/'):
            compared += 1
            for other in runs[1:]:
                assert runs[0][key].tobytes() == other[key].tobytes(), key
    assert compared > 30  # weights, the optimizer's state, generators


def test_snapshots_of_short_epochs_take_a_twentieth_of_the_time(
        tmp_path, monkeypatch):
    # A second passes from one look at the clock to the next: an epoch of six
    # or seven iterations takes as many, a save one.
    monkeypatch.setattr('ram.training.extensions.snapshot.time',
                        SimpleNamespace(monotonic=itertools.count().__next__))
    saved, save = [], Snapshot.save

    def record(self, trainer):
        saved.append(trainer.updater.epoch_detail)
        save(self, trainer)

    monkeypatch.setattr(Snapshot, 'save', record)
    train(make_config({'epochs': 7}), tmp_path / 'run')
    assert saved == [pytest.approx(epoch, abs=0.2) for epoch in (1, 5, 7)]
    _, meta = checkpoint.read_arrays(
        str(tmp_path / 'run' / 'snapshot.npz'), 'snapshot')
    assert meta['epoch'] == 7


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    config = make_config({'epochs': 1})
    train(config, tmp_path / 'run')
    before = sorted(os.listdir(tmp_path / 'run'))
    (tmp_path / 'run' / '.snapshot-fresh.npz.abc.part').write_bytes(b'half')
    (tmp_path / 'run' / '.mine').write_bytes(b'')
    train(config, tmp_path / 'run', resume=True)
    assert sorted(os.listdir(tmp_path / 'run')) == sorted(before + ['.mine'])


def test_infinite_weights_are_in_no_snapshot(tmp_path):
    config = make_config({'snapshot_minutes': 1e-6})
    out = tmp_path / 'run'
    trainer, _, snapshot, _ = begin(config, out)
    model = trainer.get_extension('Validation').model

    def spoil(trainer):
        if trainer.updater.iteration == 3:
            model.baseline.value.b.array[...] = numpy.nan

    trainer.extend(spoil, trigger=(1, 'iteration'), priority=1000)
    with pytest.raises(RamError, match='baseline/value/b.*iteration 3'):
        trainer.run(show_loop_exception_msg=False)
    arrays, meta = checkpoint.read_arrays(snapshot.path, 'snapshot')
    assert meta['iteration'] == 2


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, number):
    out = tmp_path / 'run'
    path = tmp_path / 'c.yaml'
    path.write_text(make_config({'epochs': 1000}).to_yaml())
    running = subprocess.Popen(
        [sys.executable, '-m', 'ram', 'train', str(path), '--out', str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if (out / 'snapshot.npz').exists() or running.poll() is not None:
            break
        time.sleep(0.1)
    running.send_signal(number)
    printed, complaint = running.communicate(timeout=60)
    assert running.returncode == 128 + number and not complaint
    assert '--resume' in printed
    meta = checkpoint.read_arrays(str(out / 'snapshot.npz'), 'snapshot')[1]
    assert meta['iteration'] > 0


@pytest.mark.parametrize('optimizer', ['adam', 'momentum_sgd', 'nesterov'])
@pytest.mark.parametrize('schedule',
                         ['constant', 'step', 'linear', 'cosine'])
def test_learning_rates(tmp_path, optimizer, schedule):
    training = {'optimizer': optimizer, 'schedule': schedule,
                'learning_rate': 0.01, 'final_rate': 0.1,
                'step_factor': 0.5,
                'step_epochs': [1, 2] if schedule == 'step' else []}
    train(make_config(training), tmp_path / 'run')
    log = log_of(tmp_path / 'run')
    # 200 images in batches of 32, of which an epoch's mean is logged. The
    # rate that is logged is that of the next update.
    epochs = [0, 0, 0]
    shares = {0: [], 1: [], 2: []}
    for update in range(1, 20):
        epoch = update * 32 / 200
        share = {'constant': 1.0,
                 'step': 0.5 ** ((epoch >= 1) + (epoch >= 2)),
                 'linear': 0.1 + 0.9 * (1 - min(epoch / 3, 1)),
                 'cosine': 0.1 + 0.45 * (1 + math.cos(
                     math.pi * min(epoch / 3, 1)))}[schedule]
        which = sum(update > end for end in (7, 13))
        shares[which].append(share)
        epochs[which] += 1
    assert [entry['iteration'] for entry in log] == [7, 13, 19]
    for entry, own in zip(log, shares.values()):
        assert entry['learning_rate'] == pytest.approx(
            0.01 * numpy.mean(own))


def test_plateau_waits_and_has_a_floor():
    training = make_config({'schedule': 'plateau', 'plateau_patience': 2,
                            'step_factor': 0.1, 'final_rate': 0.05,
                            'learning_rate': 1.0}).training
    optimizer = chainer.optimizers.SGD()
    rate = LearningRate(optimizer, training)

    class Trainer:
        class updater:
            epoch_detail = 0

    rates = []
    with chainer.Reporter().scope({}):
        for epoch, error in enumerate((5, 4, 4, 4, 3, 3, 6, 6, 6), 1):
            Trainer.updater.epoch = epoch
            Trainer.observation = {'validation/main/error': error}
            rate(Trainer)
            rates.append(optimizer.lr)
        assert rates == pytest.approx([1, 1, 1, .1, .1, .1, .05, .05, .05])
        # Patience is of epochs, however many of them are measured.
        rate = LearningRate(optimizer, training)
        for epoch in (5, 10):
            Trainer.updater.epoch = epoch
            rate(Trainer)
        assert optimizer.lr == pytest.approx(0.1)


def test_the_deviation_falls_to_the_models_own(tmp_path, monkeypatch):
    config = make_config({'first_std': 0.4, 'epochs': 2}, {'std': 0.1})
    trainer, *_ = begin(config, tmp_path / 'run')
    model = trainer.updater.get_optimizer('main').target.chain.model
    sample, compute = model.sample_noise, heads.loss_and_gradients
    noises, seen = [], []

    def sampling(*args, **options):
        first, noise = sample(*args, **options)
        noises.append(noise.copy())
        return first, noise

    def scoring(states, means, sampled, labels, std, weights, objective):
        # The loss scores with the deviation that was sampled with.
        numpy.testing.assert_allclose(sampled - means, std * noises[-1],
                                      atol=1e-6)
        seen.append((trainer.updater.epoch_detail, std))
        return compute(states, means, sampled, labels, std, weights,
                       objective)

    monkeypatch.setattr(model, 'sample_noise', sampling)
    monkeypatch.setattr(heads, 'loss_and_gradients', scoring)
    trainer.run()
    assert len(seen) == 13  # 400 images of which 32 at a time
    # An update is made with what was set after the batch before it.
    assert seen[0][1] == 0.4
    for i, (_, std) in enumerate(seen[1:], 1):
        passed = 32 * i / 200
        assert std == pytest.approx(
            0.1 + 0.3 * (1 + math.cos(math.pi * passed / 2)) / 2)
    assert model.std == pytest.approx(0.1, abs=2e-3)


@pytest.mark.parametrize('first', [0.5, 0.0, None])
def test_the_weight_of_the_entropy_falls(tmp_path, monkeypatch, first):
    config = make_config(
        {'entropy_weight': 0.1, 'first_entropy_weight': first, 'epochs': 2},
        {'glimpses': 3, 'glimpse_size': 2, 'scales': 1},
        name='catch', image_size=[4, 4], classes=3)
    trainer, *_ = begin(config, tmp_path / 'run')
    weights, compute = [], train_chain.game_loss

    def scoring(*args):
        weights.append(args[-1].entropy_weight)
        return compute(*args)

    monkeypatch.setattr(train_chain, 'game_loss', scoring)
    trainer.run()
    more = 0 if first is None else first - 0.1
    assert weights == pytest.approx([
        0.1 + more * (1 + math.cos(math.pi * 32 * i / 400)) / 2
        for i in range(13)])  # 200 starts, of which 32 at a time


def test_without_a_snapshot_no_other_run_overwrites_the_network(tmp_path):
    out = tmp_path / 'run'
    train(make_config({'epochs': 1}), out)
    for name in ('snapshot.npz', 'snapshot-before.npz'):
        (out / name).unlink(missing_ok=True)
    before = (out / 'best.npz').read_bytes()
    with pytest.raises(RamError, match='of a run with training.seed 1, not 2, '
                       'and no snapshot to resume it; name another'):
        train(make_config({'epochs': 1, 'seed': 2}), out, resume=True)
    assert (out / 'best.npz').read_bytes() == before
    train(make_config({'epochs': 1}), out, resume=True)  # anew, the same


def test_the_best_network_is_of_an_epoch_of_this_run(tmp_path, monkeypatch):
    """Also if a killed run had a better one that its snapshot knows not."""
    out = tmp_path / 'run'
    train(make_config({'epochs': 1}), out)
    arrays, meta = checkpoint.read_arrays(str(out / 'best.npz'), 'checkpoint')
    meta['metrics'].update(epoch=3, validation_error=0.0)
    checkpoint.write_arrays(str(out / 'best.npz'), 'checkpoint', arrays, meta)
    outcome = train(make_config({'epochs': 2, 'learning_rate': 1e-9}), out,
                    resume=True)
    metrics = checkpoint.load_checkpoint(outcome.best).metrics
    assert outcome.epoch == metrics['epoch'] == 2
    assert outcome.error == metrics['validation_error'] > 0


def test_a_resumed_run_does_without_the_network_it_started_from(tmp_path):
    train(make_config({'epochs': 1}), tmp_path / 'first')
    best = tmp_path / 'first' / 'best.npz'
    start = {'start_from': str(best)}
    train(make_config({'epochs': 1, **start}), tmp_path / 'second')
    best.unlink()
    outcome = train(make_config({'epochs': 2, **start}), tmp_path / 'second',
                    resume=True)
    assert outcome.epoch and len(log_of(tmp_path / 'second')) == 2


def test_a_run_starts_from_another_ones_weights(tmp_path):
    train(make_config({'epochs': 1}), tmp_path / 'first')
    best = str(tmp_path / 'first' / 'best.npz')
    config = make_config({'start_from': best}, {'glimpses': 5, 'std': 0.3})
    trainer, *_ = begin(config, tmp_path / 'second')
    model = trainer.updater.get_optimizer('main').target.chain.model
    params = dict(checkpoint.load_checkpoint(best).model.namedparams())
    for name, param in model.namedparams():
        assert param.array.tobytes() == params[name].array.tobytes(), name
    assert model.glimpses == 5 and model.std == 0.3


def test_a_run_starts_from_no_other_network(tmp_path):
    train(make_config({'epochs': 1}), tmp_path / 'first')
    best = str(tmp_path / 'first' / 'best.npz')
    with pytest.raises(RamError) as caught:
        train(make_config({'start_from': best}, {'core_units': 8}),
              tmp_path / 'second')
    assert f'{best}: core/linear/W: has shape (64, 32), not (32, 24); ' \
        'training.start_from must name a network' in str(caught.value)
    with pytest.raises(RamError, match='no such file; name one that'):
        train(make_config({'start_from': str(tmp_path / 'none.npz')}),
              tmp_path / 'third')


def test_the_average_of_the_weights_is_measured_and_kept(tmp_path):
    config = make_config({'average': 0.8, 'epochs': 1, 'schedule': 'constant'})
    trainer, *_ = begin(config, tmp_path / 'run')
    model = trainer.updater.get_optimizer('main').target.chain.model
    seen = []

    def watch(trainer):
        seen.append(model.core.linear.W.array.copy())

    watch.name = 'watch'
    want = model.core.linear.W.array.astype('float64')
    trainer.extend(watch, trigger=(1, 'iteration'))
    trainer.run(show_loop_exception_msg=False)
    for t, weights in enumerate(seen, 1):
        step = 1 - min(0.8, t / (t + 10))
        want = (1 - step) * want + step * weights
    kept = checkpoint.load_checkpoint(str(tmp_path / 'run' / 'last.npz'))
    numpy.testing.assert_allclose(kept.model.core.linear.W.array, want,
                                  atol=1e-6)
    assert abs(want - seen[-1]).max() > 1e-4


def test_patience_ends_at_a_measurement(tmp_path):
    outcome = train(make_config({'epochs': 10, 'early_stopping': 1,
                                 'learning_rate': 1e-9}, every=2),
                    tmp_path / 'run')
    # Measured after 2 epochs, and not better after 4.
    assert (outcome.epoch, len(log_of(tmp_path / 'run'))) == (2, 4)


def test_early_stopping(tmp_path, monkeypatch):
    errors = iter([50, 40, 45, 30, 30, 31, 32, 33, 34, 35])

    class Result:
        loss = 1.0

        @property
        def error(self):
            return next(errors)

    monkeypatch.setattr('ram.training.extensions.validation.evaluate_split',
                        lambda *args, **kwargs: Result())
    outcome = train(make_config({'epochs': 10, 'early_stopping': 3}),
                    tmp_path / 'run')
    assert (outcome.error, outcome.epoch) == (30, 4)
    assert len(log_of(tmp_path / 'run')) == 7
    best = checkpoint.load_checkpoint(outcome.best)
    assert best.metrics == {'epoch': 4, 'iteration': 25,
                            'validation_error': 30}
    last = checkpoint.load_checkpoint(str(tmp_path / 'run' / 'last.npz'))
    assert last.metrics['epoch'] == 7


@pytest.mark.parametrize('optimizer', ['adam', 'momentum_sgd'])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, optimizer):
    config = make_config({'optimizer': optimizer, 'learning_rate': 100.0,
                          'clip': None, 'schedule': 'constant', 'epochs': 50},
                         {'core': 'rnn'})
    with pytest.raises(RamError) as caught:
        train(config, tmp_path / 'run')
    assert 'at iteration' in str(caught.value)
    assert 'there is no snapshot yet' in str(caught.value)
    # It diverges within the first epoch: nothing was saved.
    assert not [name for name in os.listdir(tmp_path / 'run')
                if name.endswith('.npz')]


def test_a_loss_that_diverges_later_keeps_the_last_snapshot(tmp_path):
    trainer, *_ = begin(make_config(), tmp_path / 'run')
    model = trainer.updater.get_optimizer('main').target.chain.model

    def spoil(trainer):
        if trainer.updater.iteration == 9:  # in the second epoch
            model.action.logits.b.array[...] = numpy.nan

    trainer.extend(spoil, trigger=(1, 'iteration'), priority=1000)
    with pytest.raises(RamError, match='loss became nan at iteration 10; '
                                       'the last good snapshot is'):
        trainer.run(show_loop_exception_msg=False)
    for name in ('best.npz', 'last.npz', 'snapshot.npz'):
        kind = 'snapshot' if name == 'snapshot.npz' else 'checkpoint'
        arrays = checkpoint.read_arrays(str(tmp_path / 'run' / name), kind)[0]
        checked = [numpy.isfinite(array).all() for key, array in
                   arrays.items() if array.dtype.kind == 'f' and (
                       kind == 'checkpoint' or key.startswith('updater/'))]
        assert len(checked) > 5 and all(checked)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    config = make_config()
    out = tmp_path / 'run'
    trainer, _, snapshot, _ = begin(config, out)
    model = trainer.get_extension('Validation').model

    def spoil(trainer):
        if trainer.updater.iteration == 7:
            model.baseline.value.b.array[...] = numpy.nan

    trainer.extend(spoil, trigger=(1, 'iteration'), priority=1000)
    with pytest.raises(RamError, match='baseline/value/b.*iteration 7'):
        trainer.run(show_loop_exception_msg=False)
    assert not os.path.exists(snapshot.path)


def test_resuming_needs_the_same_configuration(tmp_path):
    out = tmp_path / 'run'
    train(make_config(), out)
    before = (out / 'snapshot.npz').read_bytes()
    with pytest.raises(RamError, match='is not empty.*--resume'):
        train(make_config(), out)
    with pytest.raises(RamError) as caught:
        train(make_config({'batch_size': 30}, {'std': 0.2}), out, resume=True)
    message = str(caught.value)
    assert 'model.std 0.1 there, 0.2 here' in message
    assert 'training.batch_size 32 there, 30 here' in message
    assert '\n' not in message
    assert (out / 'snapshot.npz').read_bytes() == before
    outcome = train(make_config(), out, resume=True)
    assert outcome.epoch and not outcome.interrupted


def test_two_threads_give_the_same_bits_each_time(tmp_path, monkeypatch):
    sizes, forward = set(), recurrence.forward

    def spy(xp, workspace, images, *args):
        sizes.add(len(images))
        forward(xp, workspace, images, *args)

    config = make_config({'threads': 2, 'epochs': 1})
    with monkeypatch.context() as patch:
        patch.setattr(recurrence, 'forward', spy)
        train(config, tmp_path / 'a')
    assert config.training.batch_size // 2 in sizes
    assert config.training.batch_size not in sizes
    train(config, tmp_path / 'b')
    assert_same_run(tmp_path / 'a', tmp_path / 'b')


def test_resume_with_more_epochs_and_other_run_options(tmp_path):
    out = tmp_path / 'run'
    train(make_config({'epochs': 2}), out)
    stream = io.StringIO()
    longer = make_config({'epochs': 4, 'learning_rate': 0.002,
                          'engine': 'links', 'threads': 2,
                          'snapshot_minutes': 3})
    run.train(longer, str(out), CPU, resume=True, stream=stream)
    first = stream.getvalue().split('\n')[0]
    assert first == ('resumed after epoch 2, iteration 13; '
                     'training.epochs 2 -> 4; '
                     'training.learning_rate 0.001 -> 0.002')
    assert 'engine: links (device: no GPU)' in stream.getvalue()
    log = log_of(out)
    assert [entry['epoch'] for entry in log] == [1, 2, 3, 4]
    # The rate follows the new schedule.
    assert log[2]['learning_rate'] == pytest.approx(
        0.002 * (0.01 + 0.99 * (1 + math.cos(math.pi * 2.5 / 4)) / 2), rel=0.2)
    assert load_config(out / 'config.yaml') == longer
    with open(out / 'versions.json') as file:
        record = json.load(file)
    assert record['engine'] == 'fused (device: no GPU)'
    resumed, = record['resumed']
    assert resumed['epoch'] == 2 and resumed['iteration'] == 13
    assert resumed['changed'] == ['training.epochs 2 -> 4',
                                  'training.learning_rate 0.001 -> 0.002']
    assert resumed['engine'] == 'links (device: no GPU)'


def test_resume_of_a_finished_run_restores_its_log(tmp_path):
    train(make_config({'epochs': 2}), tmp_path)
    log = log_of(tmp_path)
    (tmp_path / 'log').write_text('[')
    train(make_config({'epochs': 2}), tmp_path, resume=True)
    assert log_of(tmp_path) == log


def test_resume_refuses_fewer_epochs_than_are_done(tmp_path):
    train(make_config({'epochs': 2}), tmp_path)
    before = (tmp_path / 'config.yaml').read_bytes()
    with pytest.raises(RamError, match='has trained for 2; set it to 2 or'):
        train(make_config({'epochs': 1}), tmp_path, resume=True)
    assert (tmp_path / 'config.yaml').read_bytes() == before


def test_links_and_fused_train_alike(tmp_path):
    errors = [train(make_config({'engine': engine, 'epochs': 2}),
                    tmp_path / engine).error for engine in ('links', 'fused')]
    assert errors[0] == pytest.approx(errors[1], abs=2)


def test_an_engine_that_does_not_apply_leaves_no_folder(tmp_path):
    with pytest.raises(RamError, match='training.engine: device does not '
                                       'apply: no GPU; use auto'):
        train(make_config({'engine': 'device'}), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('engine', ['links', 'fused'])
def test_gradients_are_averaged_over_ranks_before_they_are_clipped(
        tmp_path, engine):
    class Two(SingleProcess):
        size = 2

        def __init__(self):
            self.norms = []

        def mean_gradients(self, optimizer):
            gradient = optimizer.target.vector.grad
            self.norms.append(float(numpy.linalg.norm(gradient)))
            gradient *= 1e-4  # as if the other rank's were nearly opposite

    ranks = Two()
    config = make_config({'engine': engine, 'clip': 1e-3,
                          'optimizer': 'momentum_sgd', 'momentum': 0.0,
                          'learning_rate': 1.0, 'schedule': 'constant'})
    trainer, *_ = begin(config, tmp_path / 'run', ranks=ranks)
    vector = trainer.updater.get_optimizer('main').target.vector
    before = vector.array.copy()
    trainer.updater.update()
    norm, = ranks.norms  # once an update
    assert norm > 0.01
    step = numpy.linalg.norm(vector.array - before)
    assert step == pytest.approx(min(1e-4 * norm, 1e-3), rel=1e-2)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(RamError, match='holds no run'):
        train(make_config(), tmp_path, resume=True)
    with pytest.raises(RamError, match='cannot be the run folder'):
        train(make_config(), tmp_path / 'thesis.tex' / 'run')
    assert os.listdir(tmp_path) == ['thesis.tex']


def test_a_damaged_snapshot_is_named_and_the_one_before_used(
        tmp_path, capsys):
    config = make_config()
    train(config, tmp_path / 'whole')
    out = tmp_path / 'run'
    train(config, out)
    with open(out / 'snapshot.npz', 'r+b') as file:
        file.truncate(1000)
    train(config, out, resume=True)
    message = capsys.readouterr().err
    assert 'snapshot.npz: damaged' in message and 'the one before' in message
    assert_same_run(tmp_path / 'whole', out)
    for name in ('snapshot.npz', 'snapshot-before.npz'):
        (out / name).write_bytes(b'')
    with pytest.raises(RamError, match='snapshot-before.npz: damaged'):
        train(config, out, resume=True)


def test_a_folder_has_one_process_at_a_time(tmp_path):
    config = make_config()
    with prepare_folder(str(tmp_path / 'run'), config, False):
        with pytest.raises(RamError, match='another process'):
            train(config, tmp_path / 'run', resume=True)
    assert train(config, tmp_path / 'run', resume=True).epoch


def test_more_in_a_batch_than_there_is(tmp_path):
    with pytest.raises(RamError, match='training.batch_size'):
        train(make_config({'batch_size': 201}), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('policy', ['random', 'frozen'])
def test_control_policies_train(tmp_path, policy):
    outcome = train(make_config({'epochs': 1}, {'policy': policy}),
                    tmp_path / 'run')
    assert os.path.exists(outcome.best)


def test_training_learns(tmp_path):
    config = make_config({'epochs': 25, 'learning_rate': 0.003},
                         {'core': 'rnn', 'core_units': 64,
                          'glimpse_units': 64, 'glimpse_size': 12},
                         train_images=1100)
    outcome = train(config, tmp_path / 'run')
    assert outcome.error < 50  # 90 by guessing
