"""Typed configuration: YAML in, checked objects out.

A configuration has four sections, ``data``, ``model``, ``training`` and
``evaluation``. A file lists only what differs from the defaults here, and may
build upon another file with ``extends: other.yaml``. Everything that the
network's shape depends on stands in the configuration itself, so one YAML
always rebuilds one network.
"""

import difflib
import json
import os
import re
from typing import Annotated, List, Literal, Optional, Tuple, get_args

import pydantic
import yaml

from ram.errors import RamError


def _as_size(value):
    """One number stands for a square, a list of two for (height, width)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value


def _printable(text):
    """Names are printed, and must not steer a terminal."""
    if not text.isprintable():
        raise ValueError('must be printable text')
    return text


_Count = Annotated[int, pydantic.Field(ge=1, le=10 ** 6)]
_Side = Annotated[int, pydantic.Field(ge=1, le=4096)]
Size = Annotated[Tuple[_Side, _Side], pydantic.BeforeValidator(_as_size)]
_Name = Annotated[str, pydantic.Field(min_length=1, max_length=100),
                  pydantic.AfterValidator(_printable)]
_Seed = Annotated[int, pydantic.Field(ge=0, le=2 ** 63 - 1)]
_Weight = Annotated[float, pydantic.Field(ge=0, le=1e6)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        extra='forbid', strict=True, frozen=True, allow_inf_nan=False,
        protected_namespaces=())


# The parts of the network, and those that are built in, by name. Another name
# is that of a class, module.Class; see ram.models.parts.
PARTS = {'glimpse_network': ('ram.links.GlimpseNetwork',),
         'core': ('lstm', 'rnn'),
         'location_network': ('ram.links.LocationNetwork',),
         'action_network': ('ram.links.ActionNetwork',),
         'baseline_network': ('ram.links.BaselineNetwork',)}


def _part(key, description):
    """The type of a part's key."""
    return Annotated[str, pydantic.Field(
        max_length=200, description=description, pattern=(
            f'^({"|".join(map(re.escape, PARTS[key]))}'
            r'|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$'))]


class DataConfig(_Section):
    """What the network looks at."""

    name: Annotated[str, pydantic.Field(
        pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]*$', description=(
            'mnist; synthetic (digits drawn by the program); folder or npz '
            '(your own images); else the folder, below the data root, of a set in '
            "MNIST's four files"))] = 'mnist'
    root: Annotated[Optional[str], pydantic.Field(description=(
        'data root; --data-root and RAM_DATA_ROOT do the same'))] = None
    file: Annotated[Optional[str], pydantic.Field(description=(
        'with name npz: the .npz file with arrays images (N, H, W[, C]) and '
        'labels (N,)'))] = None
    folder: Annotated[Optional[str], pydantic.Field(description=(
        'with name folder: the folder whose sub-folders are the classes, of '
        'PNG or JPEG files each; or train and test in it, with those'))] = None
    resize: Annotated[bool, pydantic.Field(description=(
        'folder: scale each image to image_size, whatever its shape; else '
        'all must have that size'))] = False
    image_size: Annotated[Size, pydantic.Field(description=(
        'height and width of one image, before it is put on a canvas'))] = (
            28, 28)
    channels: Annotated[int, pydantic.Field(
        ge=1, le=64, description='colours of an image; folder: 1 makes all '
        'grey, 3 all coloured')] = 1
    classes: Annotated[int, pydantic.Field(
        ge=2, le=10000, description='number of classes')] = 10
    class_names: Annotated[
        Optional[Annotated[List[_Name], pydantic.Field(min_length=2)]],
        pydantic.Field(description=(
            'names of the classes, in the order of their labels; null: '
            'numbers, or for a folder its sub-folders, sorted'))] = None
    shift: Annotated[int, pydantic.Field(ge=0, le=1000, description=(
        'move each training image by up to so many pixels each way, at random '
        '(original)'))] = 0
    warp: Annotated[float, pydantic.Field(ge=0, le=0.5, description=(
        'turn, stretch and shear each training image about its middle at '
        'random, by a linear map whose four numbers differ from those of the '
        'identity by up to so much'))] = 0.0
    variant: Annotated[
        Literal['original', 'translated', 'cluttered'],
        pydantic.Field(description=(
            'original, or put at a random place of a canvas, or that with '
            'clutter'))] = 'original'
    canvas: Annotated[Optional[Size], pydantic.Field(description=(
        'height and width of the canvas (translated, cluttered)'))] = None
    clutter: Annotated[int, pydantic.Field(
        ge=1, le=1000, description='clutter patches on a canvas')] = 4
    clutter_size: Annotated[_Side, pydantic.Field(description=(
        'side of a clutter patch, in pixels'))] = 8
    train_images: Annotated[Optional[_Count], pydantic.Field(description=(
        'use (synthetic: draw) so many images for training and validation; '
        'null: all (synthetic: 12000)'))] = None
    test_images: Annotated[Optional[_Count], pydantic.Field(description=(
        'use (synthetic: draw) so many test images; null: all (synthetic: '
        '2000; npz, and folder without a test folder: a sixth)'))] = None
    validation: Annotated[_Count, pydantic.Field(description=(
        'the last so many training images choose the best epoch'))] = 5000
    seed: Annotated[_Seed, pydantic.Field(description=(
        'of validation and test canvases and first locations, synthetic '
        'digits, and the split of an npz file or a folder: not of '
        'training'))] = 2014

    @property
    def canvas_size(self):
        """(height, width) of what the network sees, in pixels."""
        return self.image_size if self.canvas is None else self.canvas


class ModelConfig(_Section):
    """The network (Section 3 of the paper)."""

    network: Annotated[Literal['ram', 'fc', 'conv'], pydantic.Field(
        description=("RAM, or one of the paper's baselines, which see the "
                     'whole image: two fully connected layers, or a '
                     'convolution and one; of the keys below they heed '
                     'units alone'))] = 'ram'
    units: Annotated[_Count, pydantic.Field(
        description='fc, conv: width of a layer')] = 256
    glimpses: Annotated[int, pydantic.Field(
        ge=1, le=100, description='glimpses T, the first one included')] = 6
    glimpse_size: Annotated[_Side, pydantic.Field(
        description='side g of a patch as the network gets it, in pixels')] = 8
    scales: Annotated[int, pydantic.Field(
        ge=1, le=10, description='patches k in a glimpse')] = 1
    scale_factor: Annotated[int, pydantic.Field(
        ge=1, le=8, description=(
            'how much wider each patch is than the one before'))] = 2
    what_units: Annotated[_Count, pydantic.Field(
        description='width of h_g, which encodes the patches')] = 128
    where_units: Annotated[_Count, pydantic.Field(
        description='width of h_l, which encodes the location')] = 128
    glimpse_units: Annotated[_Count, pydantic.Field(
        description='width of the glimpse vector g')] = 256
    core: _part('core', (
        "lstm, or rnn, the paper's rectifier core, or a class of your own, "
        'module.Class')) = 'lstm'
    core_units: Annotated[_Count, pydantic.Field(
        description='width of the state h')] = 256
    location_units: Annotated[int, pydantic.Field(
        ge=0, le=10 ** 6, description=(
            'hidden units of the location network; 0: linear, as in the '
            'paper'))] = 128
    std: Annotated[float, pydantic.Field(
        gt=0, le=10, description=(
            'standard deviation of the location policy; the image is 2 '
            'wide'))] = 0.1
    first_location: Annotated[
        Literal['random', 'center', 'near_center'], pydantic.Field(
            description="uniform over the image, its middle, or that with "
            "the policy's noise")] = 'random'
    policy: Annotated[
        Literal['learned', 'random', 'frozen'], pydantic.Field(
            description=(
                'learned, or a control: random looks anywhere, frozen keeps '
                'the untrained location network'))] = 'learned'

    glimpse_network: _part('glimpse_network', (
        'the Link that encodes a glimpse; a class of your own, module.Class, '
        'takes the same arguments')) = 'ram.links.GlimpseNetwork'
    location_network: _part('location_network', (
        'the Link that chooses where to look, likewise')) = (
            'ram.links.LocationNetwork')
    action_network: _part('action_network', (
        'the Link that classifies, likewise')) = 'ram.links.ActionNetwork'
    baseline_network: _part('baseline_network', (
        'the Link that expects the reward, likewise')) = (
            'ram.links.BaselineNetwork')

    @property
    def own_parts(self):
        """{key: module.Class} of the parts that are not built in."""
        return {key: getattr(self, key) for key, known in PARTS.items()
                if getattr(self, key) not in known}

    @property
    def patch_sizes(self):
        """Sides of the patches of a glimpse, in image pixels, finest first."""
        return tuple(self.glimpse_size * self.scale_factor ** j
                     for j in range(self.scales))


class TrainingConfig(_Section):
    """How it is trained."""

    epochs: Annotated[_Count, pydantic.Field(
        description='passes over the training images')] = 90
    batch_size: Annotated[_Count, pydantic.Field(
        description='images in a batch')] = 128
    optimizer: Annotated[
        Literal['adam', 'momentum_sgd', 'nesterov'],
        pydantic.Field(description='the update rule')] = 'adam'
    learning_rate: Annotated[float, pydantic.Field(
        gt=0, le=100, description='the first learning rate')] = 1e-3
    momentum: Annotated[float, pydantic.Field(
        ge=0, lt=1, description='of momentum_sgd and nesterov')] = 0.9
    schedule: Annotated[
        Literal['constant', 'step', 'cosine', 'plateau'],
        pydantic.Field(description='how the learning rate falls')] = 'cosine'
    final_rate: Annotated[float, pydantic.Field(
        ge=0, le=1, description=(
            'cosine: the last learning rate, plateau: the lowest, as a share '
            'of the first'))] = 0.01
    step_epochs: Annotated[List[_Count], pydantic.Field(
        description='step: epochs after which the rate falls')] = []
    step_factor: Annotated[float, pydantic.Field(
        gt=0, lt=1, description='step, plateau: the rate falls to this '
        'share')] = 0.1
    plateau_patience: Annotated[_Count, pydantic.Field(
        description='plateau: the rate falls after so many epochs without a '
        'better validation error')] = 5
    clip: Annotated[Optional[Annotated[float, pydantic.Field(gt=0)]],
                    pydantic.Field(description=(
                        'largest global norm of the gradient; null: no '
                        'limit'))] = 5.0
    average: Annotated[float, pydantic.Field(
        ge=0, lt=1, description='measure and keep a running average of the '
        'weights, to which an update adds 1 minus this share; 0: the weights '
        'themselves')] = 0.0
    reinforce_weight: Annotated[_Weight, pydantic.Field(
        description='weight of the REINFORCE term')] = 0.01
    baseline_weight: Annotated[_Weight, pydantic.Field(
        description='weight of the baseline term')] = 1.0
    reward: Annotated[Literal['correct', 'probability'], pydantic.BeforeValidator(
        lambda v: 'correct' if v == 'right' else v),  # its name until 0.1
        pydantic.Field(
        description="what a path is worth: 1 if the class is correct, else 0, "
        "as in the paper; or the probability of the correct class")] = 'correct'
    reinforce_reaches_core: Annotated[bool, pydantic.Field(
        description='whether REINFORCE also trains the core and the glimpse '
        'network (the paper: no)')] = False
    first_std: Annotated[
        Optional[Annotated[float, pydantic.Field(gt=0, le=10)]],
        pydantic.Field(description=(
            "standard deviation of the policy at the start, which falls to "
            "model.std along half a cosine; null: model.std all along"))] = (
                None)
    start_from: Annotated[Optional[str], pydantic.Field(description=(
        'checkpoint whose weights to start with, pretrained:NAME or a file; '
        'null: new weights'))] = None
    early_stopping: Annotated[Optional[_Count], pydantic.Field(
        description='stop after so many epochs without a better validation '
        'error; null: never')] = None
    engine: Annotated[
        Literal['auto', 'links', 'fused', 'device'], pydantic.Field(
            description=(
                'auto: the fastest that applies; links: Link by Link in '
                "Chainer's graph; fused: one function for rollout, heads and "
                'loss; device: everything stays on the GPU'))] = 'auto'
    threads: Annotated[int, pydantic.Field(
        ge=1, le=256, description='CPU: parts of a batch computed side by '
        'side, all but one by helper processes; with more than 1, set '
        'OMP_NUM_THREADS=1')] = 1
    cuda_graph: Annotated[
        Literal['auto', 'off'],
        # YAML takes off for false.
        pydantic.BeforeValidator(lambda v: 'off' if v is False else v),
        pydantic.Field(description=(
            'GPU: record an iteration once and replay it, or launch its '
            'kernels one by one, with the same result'))] = 'auto'
    snapshot_minutes: Annotated[
        Optional[Annotated[float, pydantic.Field(gt=0, le=10 ** 6)]],
        pydantic.Field(description=(
            'save a snapshot after so many minutes without one, and not '
            'only after each epoch; null: each epoch alone'))] = 10.0
    seed: Annotated[_Seed, pydantic.Field(
        description='of weights, data order, canvases, first locations and '
        'policy noise')] = 1


class EvaluationConfig(_Section):
    """How it is measured."""

    every: Annotated[_Count, pydantic.Field(
        description='measure the error on the validation images after so '
        'many epochs, and after the last one')] = 1
    batch_size: Annotated[_Count, pydantic.Field(
        description='images evaluated at a time')] = 500
    policy: Annotated[Literal['mean', 'sample'], pydantic.Field(
        description="look at the policy's mean, or sample it")] = 'mean'
    samples: Annotated[int, pydantic.Field(
        ge=1, le=1000, description=(
            'paths per image, whose class probabilities are averaged'))] = 1


class Config(_Section):
    """The whole configuration. Build it with :func:`load_config`."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def as_dict(self):
        """All values, defaults included, as plain YAML and JSON types."""
        return self.model_dump(mode='json')

    @property
    def parameters(self):
        """Number of weights of the network, but for parts not built in."""
        model, data = self.model, self.data
        height, width = data.canvas_size
        if model.network == 'fc':
            layers = [(data.channels * height * width, model.units),
                      (model.units, model.units), (model.units, data.classes)]
        elif model.network == 'conv':
            seen = ((height - 10) // 5 + 1) * ((width - 10) // 5 + 1)
            layers = [(100 * data.channels, 8), (8 * seen, model.units),
                      (model.units, data.classes)]
        else:
            retina = model.scales * data.channels * model.glimpse_size ** 2
            state = model.core_units
            gates = 4 if model.core == 'lstm' else 1
            hidden = model.location_units
            parts = {
                'glimpse_network': [
                    (retina, model.what_units), (2, model.where_units),
                    (model.what_units, model.glimpse_units),
                    (model.where_units, model.glimpse_units)],
                'core': [(model.glimpse_units + state, gates * state)],
                'location_network': [(hidden or state, 2)] + (
                    [(state, hidden)] if hidden else []),
                'action_network': [(state, data.classes)],
                'baseline_network': [(state, 1)]}
            layers = [layer for key, part in parts.items()
                      if key not in model.own_parts for layer in part]
        return sum((inputs + 1) * outputs for inputs, outputs in layers)

    def to_yaml(self):
        """All values as YAML text that :func:`load_config` reads back."""
        return yaml.dump(self.as_dict(), Dumper=_Dumper, sort_keys=False)


# Keys that only say how to run: they change no result, and may differ when a
# run is resumed.
RUN_OPTIONS = ('data.root', 'training.engine', 'training.threads',
               'training.cuda_graph', 'training.snapshot_minutes')
# Keys that change the result, and may be changed when a run is resumed.
RESUMABLE = ('training.epochs', 'training.learning_rate')
LARGEST = 2 ** 28  # weights: 1 GiB
SECTIONS = tuple(Config.model_fields)


def _impossible(config):
    """Yields (key, keys it was judged by, problem and remedy)."""
    yield from _impossible_model(config.model, config.data, config.parameters)
    yield from _impossible_data(config.data)
    yield from _impossible_schedule(config.training)


def _impossible_model(model, data, parameters):
    height, width = data.canvas_size
    if parameters > LARGEST:
        yield 'model', ('model.network', 'model.units', 'model.what_units',
                        'model.where_units', 'model.glimpse_units',
                        'model.core_units', 'model.location_units'), (
            f'{parameters} weights are more than the {LARGEST} that '
            'a network may have; make its layers narrower')
    frame = ('data.canvas', 'data.image_size', 'data.variant')
    glimpse = ('model.glimpse_size', 'model.scales', 'model.scale_factor')

    if model.scales > 1 and model.scale_factor < 2:
        yield 'model.scale_factor', glimpse, (
            f'{model.scales} scales with factor {model.scale_factor} would '
            'all be the same patch; use a factor of 2 or more, or 1 scale')
    looks = model.network == 'ram'
    if looks and model.glimpse_size > min(height, width):
        yield 'model.glimpse_size', glimpse + frame, (
            f'a glimpse of {model.glimpse_size} pixels is larger than the '
            f'{height}x{width} image; use {min(height, width)} or less')
    # Padded by half of itself all round, an image is twice as wide. A patch
    # of that size shows all of the image from anywhere in it.
    elif looks and model.patch_sizes[-1] > 2 * max(height, width):
        yield 'model.scales', glimpse + frame, (
            f'the widest patch, {model.patch_sizes[-1]} pixels, is larger '
            f'than the padded {height}x{width} image '
            f'({2 * max(height, width)} pixels); use fewer scales or a '
            'smaller factor or glimpse')
    if model.network == 'conv' and min(height, width) < 10:
        yield 'model.network', frame + ('model.network',), (
            f'the convolution takes 10x10 pixels of a {height}x{width} '
            'image; use fc or ram')


def _impossible_data(data):
    height, width = data.canvas_size
    frame = ('data.canvas', 'data.image_size', 'data.variant')
    if data.shift and data.variant != 'original':
        yield 'data.shift', ('data.shift', 'data.variant'), (
            f'{data.variant} images lie anywhere already; leave it out, or '
            'set data.variant: original')
    if data.shift >= min(data.image_size):
        yield 'data.shift', ('data.shift', 'data.image_size'), (
            'moves images out of sight; use a few pixels')
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
    if data.name == 'folder' and data.channels not in (1, 3):
        yield 'data.channels', ('data.name', 'data.channels'), (
            'images of a folder are grey or coloured; use 1 or 3')
    if (data.class_names is not None
            and len(set(data.class_names)) != data.classes):
        yield 'data.classes', ('data.classes', 'data.class_names'), (
            f'{data.classes} classes, but {len(set(data.class_names))} '
            f'different names of them ({", ".join(data.class_names):.60}); '
            f'set it to {len(set(data.class_names))}')
    if data.name == 'synthetic':
        if (data.image_size, data.channels, data.classes) != ((28, 28), 1, 10):
            yield 'data.name', ('data.name', 'data.image_size',
                                'data.channels', 'data.classes'), (
                'synthetic digits are 28x28, of 1 channel and 10 classes; '
                'remove image_size, channels and classes')
    elif data.name not in ('npz', 'folder') and data.channels != 1:
        yield 'data.channels', ('data.name', 'data.channels'), (
            "sets in MNIST's form are grey; use 1, or data.name: npz or "
            'folder')
    if (data.train_images is not None
            and data.validation >= data.train_images):
        yield 'data.validation', ('data.validation', 'data.train_images'), (
            f'{data.validation} of {data.train_images} images for validation '
            'leave none to train on; use fewer')


def _impossible_schedule(training):
    if training.schedule == 'step':
        steps = training.step_epochs
        judged = ('training.schedule', 'training.step_epochs',
                  'training.epochs')
        if not steps:
            yield 'training.step_epochs', judged, (
                'the step schedule needs its epochs; for example [60, 80]')
        elif sorted(set(steps)) != steps or steps[-1] >= training.epochs:
            yield 'training.step_epochs', judged, (
                f'must rise and end before epoch {training.epochs}')


def reference():
    """All keys with default and meaning, as Markdown.

    Returns:
        str: One table a section.

    """
    lines = []
    for name, section in Config.model_fields.items():
        cls = section.annotation
        lines += [f'**{name}** — {cls.__doc__[0].lower()}{cls.__doc__[1:]}',
                  '', '| key | default | meaning |', '|---|---|---|']
        defaults = cls().model_dump(mode='json')
        for key, field in cls.model_fields.items():
            default = json.dumps(defaults[key]).strip('"')
            lines.append(f'| `{key}` | {default} | {_meaning(field)} |')
        lines.append('')
    return '\n'.join(lines)


def _meaning(field):
    choices = get_args(field.annotation)
    if all(isinstance(choice, str) for choice in choices) and choices:
        return f'{", ".join(f"`{c}`" for c in choices)}: {field.description}'
    return field.description


class _Loader(yaml.SafeLoader):
    """Safe YAML with plain numbers, and no key given twice.

    PyYAML follows YAML 1.1, to which 1e-3 is a word, 010 the number 8 and
    1:30 the number 90.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known
                if not tag.endswith((':int', ':float'))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()}

    def construct_mapping(self, node, deep=False):
        """A dict of the node, whose keys are words and each stands once."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key!r} is not a word',
                    key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key!r} stands here twice',
                    key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes the words that the loader would take for numbers."""


for _cls in (_Loader, _Dumper):
    _cls.add_implicit_resolver(
        'tag:yaml.org,2002:int', re.compile(r'^[-+]?(0|[1-9][0-9]*)$'),
        list('-+0123456789'))
    _cls.add_implicit_resolver(
        'tag:yaml.org,2002:float', re.compile(
            r'^([-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?'
            r'|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$'),
        list('-+.0123456789'))


def _parse_yaml(text, origin):
    try:
        _refuse_riddles(text, origin)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = '' if mark is None else f', line {mark.line + 1}'
        problem = getattr(error, 'problem', None) or str(error)
        problem = ' '.join(problem.split())
        raise RamError(f'{origin}{where}: not valid YAML: {problem}')
    # A date of month 13, [[[[...
    except (ValueError, OverflowError, RecursionError) as error:
        raise RamError(f'{origin}: not valid YAML: {error}')


def _refuse_riddles(text, origin):
    """Stops at what would keep the parser busy and no configuration needs."""
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        # An alias lets a short text stand for a huge one.
        if isinstance(token, yaml.AliasToken):
            raise RamError(f'{origin}: has a YAML alias (*name); write the '
                           'value out')
        # A tag asks for a type, which the keys have already.
        if isinstance(token, yaml.TagToken):
            raise RamError(f'{origin}: has a YAML tag (!name); write the '
                           'plain value')
        kind = type(token).__name__
        depth += (kind.endswith('StartToken') and 'Stream' not in kind) - (
            kind.endswith('EndToken') and 'Stream' not in kind)
        if depth > 20:
            raise RamError(f'{origin}: is nested more than 20 deep; a '
                           'configuration has sections and keys, no more')


def _flatten(tree, origin, problems):
    """{'model.glimpses': value} of a parsed file; strange parts are told."""
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        problems.append(f'{origin}: must hold the sections '
                        f'{", ".join(SECTIONS)}, each with its keys')
        return {}
    flat = {}
    for section, body in tree.items():
        if section not in SECTIONS:
            problems.append(f'{origin}: {section}: no such section'
                            + _nearest(section, SECTIONS + ('extends',)))
        elif isinstance(body, dict):
            flat.update({f'{section}.{key}': v for key, v in body.items()})
        elif body is not None:
            problems.append(f'{origin}: {section}: must hold keys, indented '
                            f'below it, not {body!r:.40}')
    return flat


def _nearest(word, known):
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f'; did you mean {near[0]}?'
    return f'; known are {", ".join(sorted(known))}'


def _read_file(path, problems, above=()):
    """Values of a file and of those it extends, and where each came from."""
    named = f'{above[-1]}: extends: {path}' if above else path
    try:
        if os.path.realpath(path) in map(os.path.realpath, above):
            raise RamError(f'{named}: comes back to itself; take one of the '
                           'extends lines out')
        with open(path, encoding='utf-8') as f:
            text = f.read(10 ** 6 + 1)
    except UnicodeDecodeError:
        raise RamError(f'{named}: not a text file; name a YAML '
                       'configuration, such as configs/mnist.yaml')
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise RamError(f'{named}: cannot be read: {reason}; name a YAML '
                       'configuration, such as configs/mnist.yaml')
    if len(text) > 10 ** 6:
        raise RamError(f'{path}: larger than 1 MB, which no configuration is')
    tree = _parse_yaml(text, path)
    values, origins = {}, {}
    if isinstance(tree, dict) and 'extends' in tree:
        base = tree.pop('extends')
        if not isinstance(base, str):
            raise RamError(f'{path}: extends: must name one file, not '
                           f'{base!r:.40}')
        values, origins = _read_file(
            os.path.join(os.path.dirname(path), base), problems,
            above + (path,))
    own = _flatten(tree, path, problems)
    values.update(own)
    origins.update(dict.fromkeys(own, path))
    return values, origins


def _read_overrides(overrides, problems):
    values = {}
    for text in overrides:
        key, equals, value = text.partition('=')
        if not equals or key.count('.') != 1:
            problems.append(f'--set {text}: must be section.key=value, for '
                            'example model.glimpses=4')
            continue
        values[key] = _parse_yaml(value, f'--set {key}')
    return values


def _describe(error, section_class):
    """One pydantic error as (key within the section, plain words)."""
    key = str(error['loc'][0])
    kind = error['type']
    value = error['input']
    value = list(value) if isinstance(value, tuple) else value
    context = error.get('ctx', {})
    bounds = {'greater_than': 'must be above {gt}',
              'greater_than_equal': 'must be at least {ge}',
              'less_than': 'must be below {lt}',
              'less_than_equal': 'must be at most {le}'}
    if kind in bounds:
        words = bounds[kind].format(**context)
    elif kind == 'literal_error':
        field = section_class.model_fields[key]
        choices = get_args(field.annotation)
        words = 'must be one of ' + ', '.join(choices)
        if isinstance(value, str):
            near = difflib.get_close_matches(value, choices, n=1)
            words += f' (did you mean {near[0]}?)' if near else ''
    elif kind == 'string_pattern_mismatch' and key in PARTS:
        words = (f'must be {", ".join(PARTS[key])}, or a class of your own, '
                 'module.Class')
    elif kind == 'string_pattern_mismatch':
        words = 'must be a plain folder name (letters, digits, . _ -)'
    elif kind == 'finite_number':
        words = 'must be a finite number'
    else:
        wanted = {'int_type': 'a whole number', 'float_type': 'a number',
                  'bool_type': 'true or false', 'string_type': 'text',
                  'tuple_type': 'a whole number or [height, width]',
                  'missing': 'a whole number or [height, width]',
                  'too_long': 'a whole number or [height, width]',
                  'list_type': 'a list, such as ' + (
                      '[cat, dog]' if key == 'class_names' else '[60, 80]'),
                  'too_short': 'a list of two or more',
                  'string_too_short': 'text of a letter or more',
                  'string_too_long': 'shorter text',
                  'value_error': 'printable text'}
        words = ('must be ' + wanted[kind] if kind in wanted
                 else error['msg'][:1].lower() + error['msg'][1:])
    return key, f'{words}, not {value!r:.60}'


def build_config(values, origins, problems=()):
    """Checks flat values and builds the configuration.

    Args:
        values (dict): ``{'section.key': value}``; what is absent takes its
            default.
        origins (dict): ``{'section.key': file or flag}``, for the errors.
        problems (list of str): Problems found before, reported together.

    Returns:
        Config

    Raises:
        RamError: With one line for each problem: unknown keys, wrong types,
            values out of range, impossible combinations.

    """
    problems, bad, sections = list(problems), set(), {}
    for key in [k for k in values if k.split('.')[0] not in SECTIONS]:
        section = key.split('.')[0]
        problems.append(f'{origins[key]}: {key}: no such section {section}'
                        + _nearest(section, SECTIONS))
    for name in SECTIONS:
        cls = Config.model_fields[name].annotation
        own = {key.split('.', 1)[1]: value for key, value in values.items()
               if key.startswith(name + '.')}
        # Pydantic would look at nothing else beside a key that is no text.
        for key in sorted(set(own).difference(cls.model_fields)):
            del own[key]
            dotted = f'{name}.{key}'
            problems.append(f'{origins[dotted]}: {dotted}: no such key'
                            + _nearest(key, tuple(cls.model_fields)))
        try:
            sections[name] = cls(**own)
            continue
        except pydantic.ValidationError as error:
            found = dict(_describe(e, cls) for e in reversed(error.errors()))
        for key, words in found.items():
            dotted = f'{name}.{key}'
            bad.add(dotted)
            problems.append(f'{origins[dotted]}: {dotted}: {words}')
        sections[name] = cls(
            **{key: value for key, value in own.items() if key not in found})
    config = Config(**sections)
    # Combinations are judged as well, but for those that rest on a bad value.
    for key, judged_by, words in _impossible(config):
        if not bad.intersection(judged_by):
            given = [k for k in (key,) + tuple(judged_by) if k in origins]
            origin = origins[given[0]] if given else 'configuration'
            problems.append(f'{origin}: {key}: {words}')
    if problems:
        raise RamError(*problems)
    return config


def load_config(path, overrides=()):
    """Reads and checks a YAML configuration.

    Args:
        path (str): The file. Paths in ``extends`` are relative to it.
        overrides (list of str): ``section.key=value`` each, the value in
            YAML; they win over the file.

    Returns:
        Config

    Raises:
        RamError: With one line for every problem found.

    """
    problems = []
    values, origins = _read_file(str(path), problems)
    own = _read_overrides(overrides, problems)
    values.update(own)
    origins.update({key: '--set' for key in own})
    return build_config(values, origins, problems)


def config_from_dict(tree, origin):
    """Rebuilds the configuration of :meth:`Config.as_dict`.

    Args:
        tree (dict): ``{section: {key: value}}``.
        origin (str): The file it comes from, for the errors.

    Returns:
        Config

    Raises:
        RamError: Where it does not fit, for instance because a newer version
            wrote it.

    """
    problems = []
    values = _flatten(tree, origin, problems)
    return build_config(values, dict.fromkeys(values, origin), problems)
