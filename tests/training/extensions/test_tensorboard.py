import io
import os
import signal
import struct
import sys
import types

import pytest
from PIL import Image
from training_runs import assert_same_run, begin, log_of, make_config, train

from ram.commands.main import main
from ram.fast.flat import ALIGNED
from ram.training.extensions.snapshot import Snapshot
from ram.training.signals import StopTrigger


def events_of(out):
    """The events, file by file in the order of time."""
    event_pb2 = pytest.importorskip('tensorboardX.proto.event_pb2')
    folder = os.path.join(out, 'tensorboard')
    files = []
    for name in sorted(os.listdir(folder)):
        files.append([])
        with open(os.path.join(folder, name), 'rb') as file:
            while True:
                head = file.read(12)  # length, checksum
                if not head:
                    break
                length, = struct.unpack('<Q', head[:8])
                files[-1].append(event_pb2.Event.FromString(
                    file.read(length)))
                file.read(4)
    return files


def values_of(out):
    """What TensorBoard shows, by name and step, each once."""
    shown = {}
    for file in events_of(out):
        for event in file:
            if event.session_log.status == 1:  # start: voids later steps
                shown = {key: value for key, value in shown.items()
                         if key[1] < event.step}
            for value in event.summary.value:
                key = value.tag, event.step
                assert key not in shown
                shown[key] = value
    return shown


def test_tensorboard_does_not_change_the_training(tmp_path):
    config = make_config({'average': 0.9})
    train(config, tmp_path / 'without')
    outcome = train(config, tmp_path / 'with', tensorboard=True)
    assert_same_run(tmp_path / 'without', tmp_path / 'with')
    assert str(tmp_path / 'with' / 'tensorboard') in outcome.files


def test_tensorboard_shows_log_norms_and_glimpses(tmp_path):
    train(make_config({'epochs': 2}), tmp_path / 'run', tensorboard=True)
    shown = values_of(tmp_path / 'run')
    log = log_of(tmp_path / 'run')
    assert len(log) == 2
    for entry in log:
        epoch = entry['epoch']
        for tag, key in (
                ('loss/training', 'main/loss'),
                ('loss/validation', 'validation/main/loss'),
                ('loss/action', 'main/loss/action'),
                ('loss/reinforce', 'main/loss/reinforce'),
                ('loss/baseline', 'main/loss/baseline'),
                ('error/training', 'main/error'),
                ('error/validation', 'validation/main/error'),
                ('location/x', 'main/location/x'),
                ('location/y', 'main/location/y'),
                ('location/spread', 'main/location/spread'),
                ('location/outside', 'main/location/outside'),
                ('learning_rate', 'learning_rate')):
            value = shown[tag, epoch]
            assert value.simple_value == pytest.approx(entry[key]), tag
        for part in ('glimpse', 'core', 'location', 'action', 'baseline'):
            assert shown[f'gradient_norm/{part}', epoch].simple_value > 0
        image = shown['glimpses', epoch].image
        picture = Image.open(io.BytesIO(image.encoded_image_string))
        assert picture.size == (image.width, image.height)
        assert picture.width > 4 * 100
    one, two = (shown['glimpses', epoch].image.encoded_image_string
                for epoch in (1, 2))
    assert one != two


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize('policy', ['learned', 'frozen'])
def test_tensorboard_norms_are_those_of_the_gradient(tmp_path, policy):
    config = make_config({'epochs': 1, 'clip': None}, {'policy': policy})
    trainer, *_ = begin(config, tmp_path / 'run', tensorboard=True)
    trainer.run(show_loop_exception_msg=False)
    target = trainer.updater.get_optimizer('main').target
    norms = {tag.split('/')[1]: value.simple_value
             for (tag, _), value in values_of(tmp_path / 'run').items()
             if tag.startswith('gradient_norm/')}
    # The optimizer's gradient, cut into the parts by their sizes and names.
    rest, want = target.vector.grad, {}
    for name, param in sorted(target.chain.namedparams()):
        own, rest = rest[:param.size], rest[-(-param.size // ALIGNED)
                                            * ALIGNED:]
        part = name.split('/')[2]
        want[part] = want.get(part, 0) + (own.astype('float64') ** 2).sum()
    assert norms == pytest.approx(
        {part: square ** 0.5 for part, square in want.items()}, rel=1e-5)
    assert (norms['location'] == 0) == (policy == 'frozen')


@pytest.mark.usefixtures('no_figures')
def test_tensorboard_of_a_killed_run_shows_each_epoch_once(tmp_path, monkeypatch):
    config = make_config({'epochs': 4})
    train(config, tmp_path / 'whole', tensorboard=True)
    # All within a second, by which tensorboardX names its files.
    monkeypatch.setattr('tensorboardX.event_file_writer.time',
                        types.SimpleNamespace(time=lambda: 1e9))
    call = Snapshot.__call__

    def killed(self, trainer):
        if trainer.updater.epoch == 3:
            raise KeyboardInterrupt  # its third epoch is written, not saved
        call(self, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Snapshot, '__call__', killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / 'parts', tensorboard=True)
    train(config, tmp_path / 'parts', resume=True, tensorboard=True)
    assert_same_run(tmp_path / 'whole', tmp_path / 'parts')
    one, two = (values_of(tmp_path / name) for name in ('whole', 'parts'))
    assert len(events_of(tmp_path / 'parts')) == 2
    assert one.keys() == two.keys()
    assert {step for _, step in one} == {1, 2, 3, 4}
    for (tag, step), value in one.items():
        if tag != 'elapsed_time':
            assert value == two[tag, step], (tag, step)


@pytest.mark.usefixtures('no_figures')
def test_tensorboard_may_begin_with_a_resumed_run(tmp_path, monkeypatch, recwarn):
    config = make_config()
    with monkeypatch.context() as patch:
        call = StopTrigger.__call__

        def interrupted(self, trainer):
            if trainer.updater.epoch == 1:
                self.signal = signal.SIGINT
            return call(self, trainer)

        patch.setattr(StopTrigger, '__call__', interrupted)
        train(config, tmp_path / 'run')
    recwarn.clear()
    train(config, tmp_path / 'run', resume=True, tensorboard=True)
    assert {step for _, step in values_of(tmp_path / 'run')} == {2, 3}
    assert not [w for w in recwarn if 'IntervalTrigger' in str(w.message)]


def test_tensorboard_of_a_baseline_has_no_glimpses(tmp_path):
    config = make_config({'epochs': 1}, {'network': 'conv', 'units': 8})
    train(config, tmp_path / 'run', tensorboard=True)
    tags = {tag for tag, _ in values_of(tmp_path / 'run')}
    assert 'error/validation' in tags and 'glimpses' not in tags
    assert any(tag.startswith('gradient_norm/') for tag in tags)


def test_tensorboard_names_a_missing_package(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    (tmp_path / 'c.yaml').write_text(make_config().to_yaml())
    assert main(['train', str(tmp_path / 'c.yaml'), '--out',
                 str(tmp_path / 'run'), '--tensorboard']) == 2
    assert capsys.readouterr().err == ('ram: --tensorboard: needs tensorboardX: python -m pip '
                    'install tensorboardX\n')
    assert not (tmp_path / 'run').exists()


def test_tensorboard_works_by_command(tmp_path, capsys):
    (tmp_path / 'c.yaml').write_text(make_config({'epochs': 1}).to_yaml())
    out = tmp_path / 'run'
    assert main(['train', str(tmp_path / 'c.yaml'), '--out', str(out),
                 '--tensorboard']) == 0
    files = capsys.readouterr().out.split('files: ')[1].split('\n')[0].split()
    assert str(out / 'tensorboard') in files
    assert str(out / 'trajectories.gif') in files
    assert values_of(out)['error/validation', 1].simple_value == \
        pytest.approx(log_of(out)[0]['validation/main/error'])
