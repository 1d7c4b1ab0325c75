"""Checkpoints and snapshots: one file each, atomic to write, checked to read.

The file is an ``.npz`` without pickled objects: the arrays, and an entry of
JSON with the kind of file, its format version, a checksum of the arrays and
whatever else was to be kept.
"""

import hashlib
import json
import os
import zipfile
from typing import Any, Dict, NamedTuple, Tuple

import chainer
import numpy

from ram.config import Config, config_from_dict
from ram.errors import RamError
from ram.files import DAMAGED, read_npz, replacing
from ram.models.build import build_network
from ram.random_streams import make_streams

FORMAT = 1
MANTISSA = 23  # bits of a float32
_META = 'ram.json'
_REMEDY = {
    'checkpoint': 'name one that ram train CONFIG has written, or '
                  'pretrained:mnist-6',
    'snapshot': 'start the run anew: ram train CONFIG in another --out'}
PRETRAINED = os.path.join(os.path.dirname(__file__), 'pretrained')


class Checkpoint(NamedTuple):
    """A trained network and where it comes from.

    Attributes:
        model (ram.models.ram.RAM): On the CPU.
        config (ram.config.Config): The whole configuration.
        metrics (dict): What was measured when it was saved: ``epoch``,
            ``iteration`` and ``validation_error`` in %.
        path (str): The file.

    """

    model: chainer.Chain
    config: Any
    metrics: dict
    path: str


def _checksum(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = numpy.ascontiguousarray(arrays[name])
        digest.update(f'{name} {array.dtype.str} {array.shape};'.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_arrays(path: str, kind: str, arrays: Dict[str, Any],
                 meta: Dict[str, Any], compress: bool = False) -> None:
    """Writes arrays and JSON to one file, atomically.

    Args:
        path: The file.
        kind: ``checkpoint`` or ``snapshot``.
        arrays: NumPy arrays, no object arrays.
        meta: Plain JSON types.
        compress: Make the file smaller, which takes longer.

    Raises:
        RamError: Where it cannot be written.

    """
    arrays = {name: numpy.asarray(array) for name, array in arrays.items()}
    header = {'kind': 'ram ' + kind, 'format': FORMAT,
              'checksum': _checksum(arrays), 'meta': meta}
    method = zipfile.ZIP_BZIP2 if compress else zipfile.ZIP_STORED
    with replacing(path) as file, zipfile.ZipFile(
            file, 'w', method) as archive:
        for name, array in {_META: numpy.array(json.dumps(header)),
                            **arrays}.items():
            with archive.open(name + '.npy', 'w', force_zip64=True) as entry:
                numpy.lib.format.write_array(entry, array,
                                             allow_pickle=False)


def read_arrays(path: str, kind: str) -> Tuple:
    """Reads what :func:`write_arrays` wrote, and makes sure that it is.

    Args:
        path: The file.
        kind: ``checkpoint`` or ``snapshot``.

    Returns:
        Arrays (dict of str to numpy.ndarray) and meta (dict).

    Raises:
        RamError: Where the file is missing, damaged, of another kind or of a
            newer format.

    """
    arrays = read_npz(path, _REMEDY[kind])
    if _META not in arrays:
        raise RamError(f'{path}: not a {kind} of this program; '
                       + _REMEDY[kind])
    try:
        header = json.loads(str(arrays.pop(_META)))
        if header.get('kind') != 'ram ' + kind:
            raise RamError(f'{path}: a {header.get("kind")!r:.40}, not a '
                           f'{kind}; {_REMEDY[kind]}')
        if header['format'] > FORMAT:
            raise RamError(
                f'{path}: written by a newer version (format '
                f'{header["format"]}, this one reads {FORMAT}); update '
                'the program')
    except DAMAGED as error:
        raise RamError(f'{path}: damaged or not a {kind} ({error!s:.80}); '
                       + _REMEDY[kind]) from error
    if _checksum(arrays) != header.get('checksum'):
        raise RamError(f'{path}: damaged: its checksum does not fit; '
                       + _REMEDY[kind])
    return arrays, header.get('meta')


def save_checkpoint(path: str, model: chainer.Chain, config: Config,
                    metrics: Dict[str, Any], bits: int = MANTISSA) -> None:
    """Writes a network with all that is needed to use it.

    Args:
        path: The file, ``.npz``.
        model: RAM or a network for comparison, on any device.
        config: The whole configuration.
        metrics: See :class:`Checkpoint`; plain JSON types.
        bits: Bits of the mantissa to keep, 1 to 23; with fewer the weights
            are rounded and the file is compressed.

    Raises:
        RamError: Where it cannot be written; a file that is there stays.

    """
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(model)
    arrays = {name: round_mantissa(numpy.asarray(array, 'float32'), bits)
              for name, array in serializer.target.items()}
    write_arrays(path, 'checkpoint', arrays,
                 {'config': config.as_dict(), 'metrics': metrics},
                 compress=bits < MANTISSA)


def round_mantissa(array: numpy.ndarray, bits: int) -> numpy.ndarray:
    """Float32 numbers, rounded to so many bits of their mantissa."""
    if bits == MANTISSA:
        return array
    words = numpy.ascontiguousarray(array).view('uint32')
    unit = numpy.uint32(1 << (MANTISSA - bits))
    return ((words + unit // 2) // unit * unit).view('float32')


def load_checkpoint(path: str) -> Checkpoint:
    """Rebuilds a network from its file alone.

    A part of a class that is not built in must have been imported before:
    nothing is imported because a file names it.

    Args:
        path: A checkpoint, or ``pretrained:NAME`` for one that comes
            with the program; ``pretrained:mnist`` is that of
            ``configs/mnist.yaml``, with 6 glimpses.

    Raises:
        RamError: Where the file is missing, damaged, of a newer format, or
            its arrays are not those of the network its configuration
            describes, or not finite, or it names a class that is not
            imported.

    """
    path = _resolve(str(path))
    arrays, meta = read_arrays(path, 'checkpoint')
    if not isinstance(meta, dict) or not isinstance(meta.get('config'), dict):
        raise RamError(f'{path}: holds no configuration; '
                       + _REMEDY['checkpoint'])
    config = config_from_dict(meta['config'], path)
    held = sum(array.size for array in arrays.values())
    if config.parameters > held + 2 ** 20:  # before memory is taken for them
        raise RamError(f'{path}: holds {held} weights, but its configuration '
                       f'describes {config.parameters}; '
                       + _REMEDY['checkpoint'])
    try:
        model = build_network(config, make_streams(0)['weights'])
    except RamError as error:  # a class of somebody's own
        raise RamError(*(f'{path}: {problem}'
                         for problem in error.problems)) from error
    _fill(model, arrays, path, 'its weights are not those of its '
          'configuration')
    return Checkpoint(model, config, meta.get('metrics') or {}, path)


def load_weights(path: str, model):
    """Gives a network the weights of a checkpoint, to train on from there.

    The two may differ in all that weights do not depend on: the number of
    glimpses, the policy's deviation, the images.

    Args:
        path: As for :func:`load_checkpoint`.
        model (ram.models.ram.RAM): On the CPU; its weights are replaced.

    Raises:
        RamError: As for :func:`load_checkpoint`, and where the arrays are not
            of the network's shapes.

    """
    path = _resolve(str(path))
    _fill(model, read_arrays(path, 'checkpoint')[0], path,
          'training.start_from must name a network of the same shape')


def _fill(model, arrays, path, remedy):
    arrays = {name: array.astype('float32') if array.dtype == 'float16'
              else array for name, array in arrays.items()}
    problems = [f'{path}: {name}: {problem}; {remedy}' for name, problem in
                _misfits(dict(model.namedparams()), arrays)]
    if problems:
        raise RamError(*problems)
    chainer.serializers.NpzDeserializer(arrays).load(model)


def _misfits(params, arrays):
    names = {name.lstrip('/'): param for name, param in params.items()}
    for name in sorted(set(names).union(arrays)):
        if name not in arrays:
            yield name, 'is missing'
        elif name not in names:
            yield name, 'has no place'
        elif arrays[name].shape != names[name].shape:
            yield name, (f'has shape {arrays[name].shape}, not '
                         f'{names[name].shape}')
        elif arrays[name].dtype != names[name].dtype:
            yield name, f'is {arrays[name].dtype}, not {names[name].dtype}'
        elif not numpy.isfinite(arrays[name]).all():
            yield name, 'holds NaN or infinite values'


def _resolve(path):
    if not path.startswith('pretrained:'):
        return os.path.expanduser(path)
    name = path.partition(':')[2]
    known = sorted(f[:-4] for f in os.listdir(PRETRAINED)
                   if f.endswith('.npz')) if os.path.isdir(PRETRAINED) else []
    if f'{name}-6' in known:  # as in configs/
        name += '-6'
    if name not in known:
        raise RamError(
            f'{path}: no such pretrained network here; there are '
            + (', '.join('pretrained:' + k for k in known) or 'none')
            + '; an installed wheel holds some, a checkout of the project '
            'holds all')
    return os.path.join(PRETRAINED, name + '.npz')
