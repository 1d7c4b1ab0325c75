"""What is impossible together in a configuration."""

from typing import Iterator, Tuple

from ram.config.schema import Config

MAX_WEIGHTS = 2 ** 28  # 1 GiB

Problem = Tuple[str, Tuple[str, ...], str]


def contradictions(config: Config) -> Iterator[Problem]:
    """Yields (key, all keys that were compared, problem and remedy)."""
    yield from _of_model(config.model, config.data, config.parameters)
    yield from _of_canvas(config.data)
    yield from _of_source(config.data)
    yield from _of_schedule(config.training)
    if config.data.is_game:
        yield from _of_game(config)


def _of_model(model, data, parameters):
    height, width = data.canvas_size
    frame = ('data.canvas', 'data.image_size', 'data.variant')
    glimpse = ('model.glimpse_size', 'model.scales', 'model.scale_factor')
    if parameters > MAX_WEIGHTS:
        yield 'model', (
            'model.network', 'model.units', 'model.what_units',
            'model.where_units', 'model.glimpse_units', 'model.core_units',
            'model.location_units', 'data.channels', 'data.classes',
            *glimpse, *frame), (
            f'{parameters} weights are more than the {MAX_WEIGHTS} that '
            'a network may have; make its layers narrower')
    if model.scales > 1 and model.scale_factor < 2:
        yield 'model.scale_factor', glimpse, (
            f'{model.scales} scales with factor {model.scale_factor} would '
            'all be the same patch; use a factor of 2 or more, or 1 scale')
    takes_glimpses = model.network == 'ram'
    if takes_glimpses and model.glimpse_size > min(height, width):
        yield 'model.glimpse_size', glimpse + frame, (
            f'a glimpse of {model.glimpse_size} pixels is larger than the '
            f'{height}x{width} image; use {min(height, width)} or less')
    # A patch of twice the image's size shows the whole image from anywhere
    # in it.
    elif takes_glimpses and model.patch_sizes[-1] > 2 * max(height, width):
        yield 'model.scales', glimpse + frame, (
            f'the widest patch, {model.patch_sizes[-1]} pixels, is larger '
            f'than the padded {height}x{width} image '
            f'({2 * max(height, width)} pixels); use fewer scales or a '
            'smaller factor or glimpse')
    if ('location_network' in model.own_parts
            and model.location_squash == 'none'):
        yield 'model.location_squash', (
            'model.location_squash', 'model.location_network'), (
            'a location network of your own decides itself; remove it')
    if model.network == 'conv' and min(height, width) < 10:
        yield 'model.network', frame + ('model.network',), (
            f'the convolution takes 10x10 pixels of a {height}x{width} '
            'image; use fc or ram')


def _of_canvas(data):
    height, width = data.canvas_size
    frame = ('data.canvas', 'data.image_size', 'data.variant')
    if data.shift and data.variant != 'original':
        yield 'data.shift', ('data.shift', 'data.variant'), (
            f'{data.variant} images are at random places already; remove '
            'it, or set data.variant: original')
    if data.shift >= min(data.image_size):
        yield 'data.shift', ('data.shift', 'data.image_size'), (
            'moves images out of the frame; use a few pixels')
    if data.variant == 'original' and data.canvas is not None:
        yield 'data.canvas', frame, (
            'the original images have no canvas; remove it, or set '
            'data.variant to translated or cluttered')
    if data.variant != 'original':
        if data.canvas is None:
            yield 'data.canvas', frame, (
                f'{data.variant} images need a canvas; set it, for example '
                'to [60, 60]')
        elif any(c < i for c, i in zip(data.canvas, data.image_size)):
            yield 'data.canvas', frame, (
                f'a canvas of {height}x{width} does not hold an image of '
                '{}x{}; make it larger'.format(*data.image_size))
    if (data.variant == 'cluttered'
            and data.clutter_size > min(data.image_size)):
        yield 'data.clutter_size', frame + ('data.clutter_size',), (
            f'patches of {data.clutter_size} pixels cannot be cut from '
            'images of {}x{}; make them smaller'.format(*data.image_size))


def _of_source(data):
    for name, key in (('npz', 'file'), ('folder', 'folder')):
        if (data.name == name) != (getattr(data, key) is not None):
            yield f'data.{key}', ('data.name', f'data.{key}'), (
                f'data.name: {name} needs it; name the {key}'
                if data.name == name else
                f'a {key} needs data.name: {name}; set that, or remove the '
                f'{key}')
    if data.resize and data.name != 'folder':
        yield 'data.resize', ('data.name', 'data.resize'), (
            'only images of a folder are scaled; remove it, or set '
            'data.name: folder')
    own = data.name in ('folder', 'npz')
    if data.range is not None and not own:
        yield 'data.range', ('data.name', 'data.range'), (
            f'the values of {data.name} are known; remove it, or set '
            'data.name: npz or folder')
    for key in ('transpose', 'first_label'):
        if getattr(data, key) and (
                data.name in ('folder', 'synthetic') or data.is_game):
            yield f'data.{key}', ('data.name', f'data.{key}'), (
                "only npz and sets in MNIST's form have it; remove it")
    if data.name == 'folder' and data.channels not in (1, 3):
        yield 'data.channels', ('data.name', 'data.channels'), (
            'images of a folder are grey or coloured; use 1 or 3')
    names = data.class_names or ()
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        yield 'data.class_names', ('data.class_names',), (
            f'{twice[0]} stands there twice; each class needs its own name')
    elif names and len(names) != data.classes:
        yield 'data.classes', ('data.classes', 'data.class_names'), (
            f'{data.classes} classes, but {len(names)} names of them '
            f'({", ".join(names):.60}); set it to {len(names)}')
    if data.name == 'synthetic':
        if (data.image_size, data.channels, data.classes) != ((28, 28), 1, 10):
            yield 'data.name', ('data.name', 'data.image_size',
                                'data.channels', 'data.classes'), (
                'synthetic digits are 28x28, of 1 channel and 10 classes; '
                'remove image_size, channels and classes')
    elif not own and data.channels != 1:
        yield 'data.channels', ('data.name', 'data.channels'), (
            "sets in MNIST's form are grey; use 1, or data.name: npz or "
            'folder')
    if (data.train_images is not None
            and data.validation >= data.train_images):
        yield 'data.validation', ('data.validation', 'data.train_images'), (
            f'{data.validation} of {data.train_images} images for validation '
            'leave none to train on; use fewer')


def _of_game(config):
    data, model = config.data, config.model
    height, width = data.image_size
    steps = height - 1
    if model.network != 'ram':
        yield 'model.network', ('model.network', 'data.name'), (
            'catch is played by ram; remove it')
    if min(height, width) < 2:
        yield 'data.image_size', ('data.image_size', 'data.name'), (
            f'a screen of {height}x{width} has no place for ball and paddle; '
            'use [24, 24], as the paper')
    elif model.glimpses != steps:
        yield 'model.glimpses', ('model.glimpses', 'data.image_size',
                                 'data.name'), (
            f'a ball falls {steps} steps from the top of {height} rows, and '
            f'every step has one glimpse; set it to {steps}')
    if data.ball_speed >= width:
        yield 'data.ball_speed', ('data.ball_speed', 'data.image_size'), (
            f'the ball would cross the screen of {width} columns in a step; '
            'use 1, or a few')
    if (data.channels, data.classes) != (1, 3):
        yield 'data.classes', ('data.name', 'data.channels', 'data.classes'), (
            'catch has one channel and three actions; set channels to 1 and '
            'classes to 3')
    if (config.evaluation.policy, config.evaluation.samples) != ('mean', 1):
        yield 'evaluation.policy', ('data.name', 'evaluation.policy',
                                    'evaluation.samples'), (
            'a game is played both greedily and sampled; remove policy and '
            'samples')
    for key, plain in (('variant', 'original'), ('warp', 0), ('shift', 0)):
        if getattr(data, key) != plain:
            yield f'data.{key}', ('data.name', f'data.{key}'), (
                'the screen of a game is taken as it is; remove it')
    if config.training.class_weights != 'none':
        yield 'training.class_weights', (
            'data.name', 'training.class_weights'), (
            'a game has no classes; remove it')
    if config.training.reward != 'correct':
        yield 'training.reward', ('data.name', 'training.reward'), (
            'the reward of a game is 1 or 0; remove it')


def _of_schedule(training):
    if training.schedule == 'step':
        steps = training.step_epochs
        compared = ('training.schedule', 'training.step_epochs',
                  'training.epochs')
        if not steps:
            yield 'training.step_epochs', compared, (
                'the step schedule needs its epochs; for example [60, 80]')
        elif sorted(set(steps)) != steps or steps[-1] >= training.epochs:
            yield 'training.step_epochs', compared, (
                f'must rise and end before epoch {training.epochs}')
