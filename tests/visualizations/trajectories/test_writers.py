"""Files of trajectories."""

import sys
import types

import numpy
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from trajectory_cases import coloured, make, rasterise

from ram import RamError
from ram.visualizations import draw_trajectory, save_trajectories
from ram.visualizations.colours import SCALE_COLOURS, WRONG
from ram.visualizations.trajectories import writers


def frames_of(path):
    image = Image.open(path)
    frames, durations = [], []
    for i in range(image.n_frames):
        image.seek(i)
        frames.append(numpy.array(image.convert('RGB')).astype(int))
        durations.append(image.info['duration'])
    return frames, durations, image.info.get('loop')


def test_gif_shows_each_glimpse_and_then_the_verdict(tmp_path):
    trajectory, patch_sizes = make(scales=2, label=1, guess=7)
    path = str(tmp_path / 'a.gif')

    save_trajectories(path, [trajectory], patch_sizes,
                      seconds_per_glimpse=0.4)

    frames, durations, loop = frames_of(path)
    assert durations == [400] + 2 * (5 * [40] + [400]) + [1200]
    assert loop == 0
    # Glimpse for glimpse the same as rendered from scratch.
    for frame, step in ((0, 0), (6, 1), (12, 2), (13, None)):
        rendered = rasterise(draw_trajectory(trajectory, patch_sizes,
                                          step)[0].figure)[12:-12, :-24]
        shown = frames[frame][:rendered.shape[0], :rendered.shape[1]]
        difference = abs(shown - rendered)
        assert difference.max() < 100
        assert difference.mean() < 1


def test_gif_has_exact_white_and_colours_of_scales(tmp_path):
    trajectory, patch_sizes = make(scales=3)
    path = str(tmp_path / 'a.gif')
    save_trajectories(path, [trajectory], patch_sizes)
    frame = frames_of(path)[0][-1]
    assert (frame[0, 0] == 255).all()
    for colour in SCALE_COLOURS[:3]:
        exact = [round(255 * c) for c in to_rgb(colour)]
        assert (frame == exact).all(axis=2).sum() > 100


def test_gif_of_eight_examples_is_small(tmp_path):
    # A quarter of noise: more than a digit's strokes.
    trajectories = []
    for seed in range(8):
        trajectory, patch_sizes = make(6, (60, 60), size=12, scales=3,
                                       seed=seed)
        trajectory.image[:, 30:] = trajectory.image[:, :, 30:] = 0
        trajectories.append(trajectory)
    path = tmp_path / 'a.gif'
    save_trajectories(str(path), trajectories, patch_sizes)
    assert path.stat().st_size < 3e6
    with Image.open(path) as image:
        assert 800 <= image.width <= 920
        assert image.n_frames == 6 + 5 * 5 + 1


def test_frames_are_one_a_glimpse_and_the_verdict(tmp_path):
    trajectory, patch_sizes = make(scales=2, label=1, guess=7)
    path = str(tmp_path / '50%' / 'a%03d.png')
    save_trajectories(path, [trajectory], patch_sizes)
    assert sorted(p.name for p in (tmp_path / '50%').iterdir()) == [
        'a001.png', 'a002.png', 'a003.png', 'a004.png']
    rendered = [rasterise(draw_trajectory(trajectory, patch_sizes,
                                       step)[0].figure)[12:-12, :-24]
             for step in (0, 1, 2, None)]
    for number in range(4):
        with Image.open(path.replace('%03d', f'00{number + 1}')) as image:
            shown = numpy.array(image.convert('RGB')).astype(int)
        # Twice as fine, from the upper left corner.
        height, width = rendered[0].shape[:2]
        coarse = shown[:2 * height, :2 * width].reshape(
            height, 2, width, 2, 3).mean(axis=(1, 3))
        assert numpy.argmin([abs(coarse - other).mean()
                             for other in rendered]) == number
        wrong = [round(255 * c) for c in to_rgb(WRONG)]
        assert (shown == wrong).all(axis=2).any() == (number == 3)


def test_gif_accepts_trajectories_of_different_length(tmp_path):
    path = str(tmp_path / 'a.gif')
    trajectories = [make(1)[0], make(2)[0], make(2)[0]]
    save_trajectories(path, trajectories, [5])
    assert len(frames_of(path)[0]) == 2 + 5 + 1


@pytest.mark.parametrize('glimpses, examples', [(1, 1), (4, 3)])
def test_strip_has_a_row_for_each_image(tmp_path, glimpses, examples):
    path = tmp_path / 'a.PNG'
    trajectories = [make(glimpses, (28, 28), size=8, seed=i)[0]
                    for i in range(examples)]
    save_trajectories(str(path), trajectories, [8])
    with Image.open(path) as image:
        # Two pixels to a point; a cell is 144 points wide at most.
        assert image.width >= 2 * 120 * glimpses
        if glimpses > 1:
            assert image.width <= 2 * (156 * glimpses + 24)
        assert 2 * 200 * examples < image.height < 2 * (260 * examples + 90)
        assert image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize('suffix', ['.gif', '.png'])
@pytest.mark.parametrize('kwargs', [
    {'channels': 3, 'image_size': (40, 20)},
    {'channels': 2, 'scales': 4},
    {'image_size': (300, 250), 'size': 20},
    {'image_size': (3, 3), 'size': 1},
    {'classes': 2}, {'classes': 30}])
def test_files_have_a_white_border_for_any_image(tmp_path, suffix, kwargs):
    path = tmp_path / ('a' + suffix)
    trajectory, patch_sizes = make(1, guess=0, **kwargs)
    save_trajectories(str(path), [trajectory], patch_sizes,
                      class_names=[f'class {i} of a long name'
                                   for i in range(kwargs.get('classes', 10))])
    with Image.open(path) as image:
        raster = numpy.array(image.convert('RGB')).astype(int)
    coloured(raster, SCALE_COLOURS[0])
    # Nothing is cut off: a white border all around.
    for edge in (raster[:2], raster[-2:], raster[:, :2], raster[:, -2:]):
        assert (edge == 255).all()


@pytest.mark.parametrize('name', ['a', 'a.jpg', 'a.gif.txt'])
def test_save_trajectories_refuses_other_suffixes(tmp_path, name):
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match=r'\.gif, \.png or \.mp4') as error:
        save_trajectories(str(tmp_path / name), [trajectory], patch_sizes)
    assert name in str(error.value)
    assert not list(tmp_path.iterdir())


def test_save_trajectories_refuses_no_images(tmp_path):
    with pytest.raises(RamError, match='no image'):
        save_trajectories(str(tmp_path / 'a.gif'), [], [8])


@pytest.mark.parametrize('name, named', [
    ('missing/a.gif', 'missing/a.gif'), ('file/a.png', 'file/a.png'),
    ('file/%d.png', 'file: cannot be written')])
def test_save_trajectories_names_a_path_it_cannot_write(tmp_path, name,
                                                          named):
    (tmp_path / 'file').write_text('')
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match=named):
        save_trajectories(str(tmp_path / name), [trajectory], patch_sizes)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_save_trajectories_keeps_the_old_file_on_failure(tmp_path, monkeypatch):
    path = tmp_path / 'a.png'
    path.write_text('old')
    trajectory, patch_sizes = make()

    def save(image, file, *args, **kwargs):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(Image.Image, 'save', save)
    with pytest.raises(RamError, match='disk full'):
        save_trajectories(str(path), [trajectory], patch_sizes)
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']


def test_mp4_without_encoder_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    trajectory, patch_sizes = make()
    with pytest.raises(RamError, match='a.mp4.* pip install imageio-ffmpeg'):
        save_trajectories(str(tmp_path / 'a.mp4'), [trajectory], patch_sizes)
    assert not list(tmp_path.iterdir())


class Writer:
    """Stands for the encoder, which need not be installed."""

    def __init__(self, name, **options):
        self.name, self.options, self.frames = name, options, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with open(self.name, 'wb') as file:
            file.write(b'%d frames' % len(self.frames))

    def append_data(self, frame):
        assert frame.dtype == 'uint8' and frame.shape[2] == 3
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        self.frames.append(frame)


def test_mp4_repeats_frames_for_their_duration(tmp_path, monkeypatch):
    encoder = types.ModuleType('imageio_ffmpeg')
    encoder.get_ffmpeg_exe = lambda: 'ffmpeg'
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', encoder)
    monkeypatch.setattr(writers.imageio, 'get_writer', Writer)
    path = tmp_path / 'a.mp4'
    trajectory, patch_sizes = make(2)
    save_trajectories(str(path), [trajectory], patch_sizes,
                      seconds_per_glimpse=0.2)
    # 5 frames a glimpse, 5 of the way, 15 of the verdict.
    assert path.read_bytes() == b'30 frames'


def test_mp4_has_25_frames_a_second(tmp_path):
    pytest.importorskip('imageio_ffmpeg')
    import imageio.v2
    path = str(tmp_path / 'a.mp4')
    trajectory, patch_sizes = make(2)
    save_trajectories(path, [trajectory], patch_sizes,
                      seconds_per_glimpse=0.2)
    with imageio.v2.get_reader(path, format='FFMPEG') as reader:
        assert reader.get_meta_data()['fps'] == 25
        assert reader.count_frames() == 30
