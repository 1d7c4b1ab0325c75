"""The keys of the configuration: types, defaults, and what they mean.

A configuration has four sections, ``data``, ``model``, ``training`` and
``evaluation``. A file lists only what differs from the defaults here. All that
the shape of the network depends on is in the configuration, so one YAML always
rebuilds one network.
"""

import re
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple

import pydantic
import yaml

from ram.config.key_types import (
    Count,
    Names,
    Range,
    Seed,
    Side,
    Size,
    Weight,
)
from ram.config.key_types import key as _key
from ram.config.key_types import renamed as _renamed
from ram.config.yaml_text import Dumper

# The parts of the network and their built-in classes, by name. Any other name
# is that of a class of the user's own, module.Class; see ram.models.parts.
PARTS = {'glimpse_network': ('ram.links.GlimpseNetwork',),
         'core': ('lstm', 'rnn'),
         'location_network': ('ram.links.LocationNetwork',),
         'action_network': ('ram.links.ActionNetwork',),
         'baseline_network': ('ram.links.BaselineNetwork',)}


def _part(key, meaning):
    return _key(PARTS[key][0], meaning, max_length=200, pattern=(
        f'^({"|".join(map(re.escape, PARTS[key]))}'
        r'|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$'))


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        extra='forbid', strict=True, frozen=True, allow_inf_nan=False,
        protected_namespaces=())


class DataConfig(_Section):
    """The images."""

    name: str = _key('mnist', (
        'mnist; synthetic (digits that the program draws); folder or npz '
        '(your own images); catch (the game); or the name of a folder in the '
        "data root with files in MNIST's format"), pattern=r'^[A-Za-z0-9][A-Za-z0-9_.-]*$')
    root: Optional[str] = _key(None, (
        'data root, as --data-root and RAM_DATA_ROOT set it (run option)'))
    file: Optional[str] = _key(None, (
        'name npz: the .npz file, with arrays images (N, H, W[, C]) and '
        'labels (N,), numbers or names'))
    folder: Optional[str] = _key(None, (
        'name folder: the folder, with one sub-folder of PNG, JPEG, TIFF or '
        'BMP files for each class; or with folders train and test of that '
        'kind'))
    resize: bool = _key(False, (
        'folder: scale all images to image_size; otherwise they must have '
        'that size'))
    range: Range = _key(None, (
        'folder, npz: [low, high], the stored values that become 0 and 1; '
        'auto: the least and the greatest of the training images; null: 0 '
        'and 255 of 8 bits, 0 and 65535 of 16 bits'))
    transpose: bool = _key(False, (
        "npz, MNIST's format: exchange rows and columns of each image, as "
        'EMNIST needs'))
    first_label: int = _key(0, (
        "npz, MNIST's format: the label of the first class"), ge=0,
        le=10 ** 6)
    image_size: Size = _key((28, 28), (
        'height and width of an image, before it is put on a canvas'))
    channels: int = _key(1, (
        'channels of an image; folder: 1 converts all to grey, 3 to colour'),
        ge=1, le=64)
    classes: int = _key(10, 'number of classes', ge=2, le=10000)
    class_names: Optional[Names] = _key(None, (
        'names of the classes, in the order of their labels; null: numbers, '
        'or the sorted sub-folders of a folder or names in an npz file'))
    shift: int = _key(0, (
        'move each training image by up to so many pixels in each direction, '
        'at random (variant original)'), ge=0, le=1000)
    warp: float = _key(0.0, (
        'rotate, stretch and shear each training image about its centre at '
        'random: by a linear map whose four entries differ from those of the '
        'identity by up to this value'), ge=0, le=0.5)
    variant: Literal['original', 'translated', 'cluttered'] = _key(
        'original', (
            'the image itself; the image at a random place of a canvas; or '
            'that with clutter'))
    canvas: Optional[Size] = _key(None, (
        'height and width of the canvas (translated, cluttered)'))
    clutter: int = _key(4, 'clutter patches on a canvas', ge=1, le=1000)
    clutter_size: Side = _key(8, 'side of a clutter patch, in pixels')
    ball_speed: int = _key(1, (
        'catch: largest sideways speed of the ball, in columns a step'),
        ge=0, le=100)
    paddle_start: Literal['any', 'center'] = _key('any', (
        'catch: where the paddle starts'))
    train_images: Optional[Count] = _key(None, (
        'number of images for training and validation; null: all (synthetic: '
        '12000; catch: 107400 games)'))
    test_images: Optional[Count] = _key(None, (
        'number of test images; null: all (synthetic: 2000; catch: 10000 '
        'games; npz, and folder without a test folder: a sixth)'))
    validation: Count = _key(5000, (
        'the last so many training images select the best epoch'))
    split_count: Optional[Count] = _key(None, (
        'npz, folder: number of images, as the run records it; if they are '
        'split at random, another number is refused: the split would be '
        'another; null: any'))
    seed: Seed = _key(2014, (
        'seed of validation and test canvases and first locations, of '
        'synthetic digits, and of the split of an npz file or a folder; not '
        'of training'))

    @property
    def is_game(self) -> bool:
        """Whether a game is played, instead of images classified."""
        return self.name == 'catch'

    @property
    def canvas_size(self) -> Tuple[int, int]:
        """(height, width) of what the network sees, in pixels."""
        return self.image_size if self.canvas is None else self.canvas


class ModelConfig(_Section):
    """The network (Section 3 of the paper)."""

    network: Literal['ram', 'fc', 'conv'] = _key('ram', (
        "RAM, or one of the paper's networks for comparison, which see the "
        'whole image: two fully connected layers, or a convolution and one; '
        'of the keys below these use only units'))
    units: Count = _key(256, 'fc, conv: width of a layer')
    glimpses: int = _key(6, 'glimpses T, the first one included', ge=1,
                         le=100)
    glimpse_size: Side = _key(8, (
        'side g of a patch as the network receives it, in pixels'))
    scales: int = _key(1, 'number k of patches in a glimpse', ge=1, le=10)
    scale_factor: int = _key(2, (
        'how much wider each patch is than the one before'), ge=1, le=8)
    coarse: Literal['mean', 'sum'] = _key('mean', (
        'what a pixel of a coarser patch is of the pixels that it covers; '
        'sum keeps a single bright pixel as bright'))
    what_units: Count = _key(128, 'width of h_g, which encodes the patches')
    where_units: Count = _key(128, 'width of h_l, which encodes the location')
    glimpse_units: Count = _key(256, 'width of the glimpse vector g')
    core: str = _part('core', (
        "lstm; rnn, the paper's rectifier core; or a class of your own, "
        'module.Class'))
    core_units: Count = _key(256, 'width of the state h')
    location_units: int = _key(128, (
        'hidden units of the location network; 0: none, as in the paper'),
        ge=0, le=10 ** 6)
    location_squash: Literal['tanh', 'none'] = _key('tanh', (
        'what keeps the mean of the policy inside the image: a tanh; or '
        'none, a mean that is linear in the state, as in the paper'))
    std: float = _key(0.1, (
        'standard deviation of the location policy; the image is 2 wide'),
        gt=0, le=10)
    first_location: Literal['random', 'center', 'near_center'] = _key(
        'random', "uniform over the image; its centre; or the centre with "
        "the policy's noise")
    policy: Literal['learned', 'random', 'center', 'frozen'] = _key(
        'learned', 'learned, or a control: random takes every glimpse after '
        'the first anywhere, center all of them at the centre, frozen keeps '
        'the location network as it was initialized')
    glimpse_network: str = _part('glimpse_network', (
        'the Link that encodes a glimpse; or a class of your own, '
        'module.Class, with the same arguments'))
    location_network: str = _part('location_network', (
        'the Link that gives the mean of the policy, likewise'))
    action_network: str = _part('action_network', (
        'the Link that classifies, likewise'))
    baseline_network: str = _part('baseline_network', (
        'the Link that expects the reward, likewise'))

    @property
    def own_parts(self) -> Dict[str, str]:
        """{key: module.Class} of the parts that are not built in."""
        return {key: getattr(self, key) for key, known in PARTS.items()
                if getattr(self, key) not in known}

    @property
    def patch_sizes(self) -> Tuple[int, ...]:
        """Sides of the patches of a glimpse, in image pixels, finest first."""
        return tuple(self.glimpse_size * self.scale_factor ** j
                     for j in range(self.scales))


class TrainingConfig(_Section):
    """How the network is trained."""

    epochs: Count = _key(90, (
        'passes over the training images; may differ on --resume'))
    batch_size: Count = _key(128, 'images in a batch')
    optimizer: Literal['adam', 'momentum_sgd', 'nesterov'] = _key(
        'adam', 'the update rule')
    learning_rate: float = _key(1e-3, (
        'the first learning rate; may differ on --resume'), gt=0, le=100)
    momentum: float = _key(0.9, 'momentum_sgd, nesterov', ge=0, lt=1)
    schedule: Literal[
            'constant', 'step', 'cosine', 'linear', 'plateau'] = _key(
                'cosine', 'how the learning rate falls')
    final_rate: float = _key(0.01, (
        'cosine, linear: the last learning rate, plateau: the lowest one, as '
        'a share of the first'), ge=0, le=1)
    step_epochs: List[Count] = _key([], (
        'step: epochs after which the rate falls'))
    step_factor: float = _key(0.1, (
        'step, plateau: the rate is multiplied by this'), gt=0, lt=1)
    plateau_patience: Count = _key(5, (
        'plateau: the rate falls after so many epochs without a better '
        'validation error'))
    clip: Optional[float] = _key(5.0, (
        'largest global norm of the gradient; null: no limit'), gt=0)
    average: float = _key(0.0, (
        'measure and save a running average of the weights, in which the '
        'average so far has this weight; 0: the weights themselves'), ge=0,
        lt=1)
    reinforce_weight: Weight = _key(0.01, 'weight of the REINFORCE term')
    entropy_weight: Weight = _key(0.0, (
        'catch: weight of the entropy of the actions, summed over the steps, '
        'which is made larger'))
    first_entropy_weight: Optional[Weight] = _key(None, (
        'catch: weight of the entropy at the start; it falls to '
        'entropy_weight along half a cosine; null: entropy_weight throughout'))
    border_weight: Weight = _key(0.0, (
        'weight of the border term, which keeps the mean of the policy a '
        'standard deviation inside the image: locations beyond it are '
        'clipped, and REINFORCE cannot tell them apart'))
    baseline_weight: Weight = _key(1.0, 'weight of the baseline term')
    class_weights: Literal['none', 'balanced'] = _key('none', (
        'weights of the cross-entropy: none, or inverse to the number of '
        'training images of a class'))
    reward: Annotated[Literal['correct', 'probability'],
                      _renamed('right', 'correct')] = _key('correct', (
                          'reward of a path: 1 if the class is correct, else '
                          '0, as in the paper; or the probability of the '
                          'correct class'))
    reinforce_reaches_core: bool = _key(False, (
        'whether REINFORCE also trains the core and the glimpse network (the '
        'paper: no)'))
    first_std: Optional[float] = _key(None, (
        'standard deviation of the policy at the start; it falls to '
        'model.std along half a cosine; null: model.std throughout'), gt=0,
        le=10)
    start_from: Optional[str] = _key(None, (
        'checkpoint whose weights are the initial ones, pretrained:NAME or a '
        'file; null: new weights'))
    early_stopping: Optional[Count] = _key(None, (
        'stop after so many epochs without a better validation error; null: '
        'never'))
    engine: Literal['auto', 'links', 'fused', 'device'] = _key('auto', (
        "Link by Link in Chainer's graph; rollout, heads and loss as one "
        'function; or whole iterations on the GPU; auto: the fastest that '
        'applies (run option)'))
    threads: int = _key(1, (
        'fused on the CPU: threads that share each batch; with more than '
        '1, set OMP_NUM_THREADS=1 (run option)'), ge=1, le=256)
    cuda_graph: Annotated[Literal['auto', 'off'], _renamed(False, 'off')] = (
        _key('auto', (
            'device: record an iteration once and replay it, or launch its '
            'kernels one by one (run option)')))
    tf32: bool = _key(True, 'train in TF32, on GPUs with it (run option)')
    snapshot_minutes: Optional[float] = _key(10.0, (
        'save a snapshot after so many minutes without one, and after epochs '
        '(a 20th of the time at most); null: after epochs only (run option)'), gt=0, le=10 ** 6)
    seed: Seed = _key(1, (
        'seed of weights, data order, canvases, first locations and policy '
        'noise'))


class EvaluationConfig(_Section):
    """How the network is measured."""

    every: Count = _key(1, (
        'measure the error on the validation images after so many epochs, '
        'and after the last one'))
    batch_size: Count = _key(500, 'images evaluated at a time')
    policy: Literal['mean', 'sample'] = _key(
        'mean', "ram evaluate: follow the policy's mean, as the validation "
        'in training does, or sample it')
    samples: int = _key(1, (
        'ram evaluate: paths per image, whose class probabilities are '
        'averaged'), ge=1, le=1000)


class Config(_Section):
    """The whole configuration. Build it with :func:`load_config`."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def as_dict(self) -> Dict[str, Dict[str, Any]]:
        """All values, defaults included, as plain YAML and JSON types."""
        return self.model_dump(mode='json')

    @property
    def parameters(self) -> int:
        """Number of weights, without those of parts of the user's own."""
        model, data = self.model, self.data
        height, width = data.canvas_size
        if model.network == 'fc':
            layers = [(data.channels * height * width, model.units),
                      (model.units, model.units), (model.units, data.classes)]
        elif model.network == 'conv':
            maps = ((height - 10) // 5 + 1) * ((width - 10) // 5 + 1)
            layers = [(100 * data.channels, 8), (8 * maps, model.units),
                      (model.units, data.classes)]
        else:
            retina = model.scales * data.channels * model.glimpse_size ** 2
            state, hidden = model.core_units, model.location_units
            gates = 4 if model.core == 'lstm' else 1
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

    def to_yaml(self) -> str:
        """All values as YAML text that :func:`load_config` reads back."""
        return yaml.dump(self.as_dict(), Dumper=Dumper, sort_keys=False)


# Keys that only say how to run: they may differ when a run is resumed.
RUN_OPTIONS = (
    'data.root', 'training.engine', 'training.threads', 'training.cuda_graph',
    'training.tf32', 'training.snapshot_minutes')
# Keys that change the result, and may still differ when a run is resumed.
RESUMABLE = ('training.epochs', 'training.learning_rate')
SECTIONS = tuple(Config.model_fields)
