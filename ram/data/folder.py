"""Images in a folder: PNG, JPEG, TIFF and BMP, a sub-folder for each class.

The folder holds the classes, or ``train/`` and ``test/`` which hold them.
"""

import os
import re
import warnings
from typing import List, Optional, Tuple

import numpy
from PIL import Image, ImageOps

from ram.config import DataConfig
from ram.data.scaling import scale
from ram.devices import Array
from ram.errors import RamError

FORMATS = {'.png': 'PNG', '.jpg': 'JPEG', '.jpeg': 'JPEG', '.tif': 'TIFF',
           '.tiff': 'TIFF', '.bmp': 'BMP'}
_KINDS = 'PNG, JPEG, TIFF or BMP'
# What operating systems put into folders, beside hidden files; lower case.
_NOT_IMAGES = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r', '__macosx',
               '@eadir', '$recycle.bin', 'system volume information')
_ORIENTATION = 0x0112  # EXIF tag
PIXELS = 2 ** 26  # of one file
BYTES = 2 ** 31  # of all images
_REPORTED = 10  # problems, at most
_LAYOUT = 'put the images of each class into a sub-folder of its own'


def class_names(folder: str) -> List[str]:
    """The names of the classes: those of the sub-folders, sorted.

    Args:
        folder: The folder.

    Raises:
        RamError: Where there is no folder, or less than two classes in it.

    """
    parts = _parts(folder)
    names = _subfolders(parts[0])
    if len(names) < 2:
        raise RamError(
            f'{parts[0]}: holds {f"one class, {names[0]}" if names else "no"} '
            f'sub-folder{"" if names else "s"}; {_LAYOUT}, two at least')
    for part in parts[1:]:
        other = set(_subfolders(part)).symmetric_difference(names)
        if other:
            raise RamError(f'{part}: has not the classes of {parts[0]} '
                           f'({", ".join(sorted(other))}); let the two hold '
                           'the same sub-folders')
    return names


def load(data: DataConfig
         ) -> Tuple[List[Tuple[Array, Array]], Optional[List[str]]]:
    """Reads the images.

    Args:
        data: ``folder``, ``image_size``, ``channels``, ``classes``,
            ``class_names``, ``resize`` and ``range`` are used.

    Returns:
        Images (N, C, h, w) uint8, or their values as stored if ``range`` is
        set, and labels (N,) int32, class by class; for ``train/`` and for
        ``test/``, or for the whole folder; and the names of the classes
        where ``class_names`` is not set.

    Raises:
        RamError: Where files are no images, or not of the right size, all
            together are too large, or the classes are not those configured.
            It lists all such files, up to ten and the number of the others.

    """
    folder = os.path.expanduser(data.folder)
    found = class_names(folder)
    names = found if data.class_names is None else data.class_names
    if len(names) != data.classes:
        raise RamError(
            f'{folder}: data.classes: {data.classes} classes, but '
            f'{len(names)} in the folder ({", ".join(names):.60}); set it '
            f'to {len(names)}')
    if sorted(names) != sorted(found):
        odd = sorted(set(names).symmetric_difference(found))
        raise RamError(f'{folder}: has not the classes of data.class_names '
                       f'({", ".join(odd)}); set that to [{", ".join(found)}]')
    problems = []
    listed = [[(path, label) for label, name in enumerate(names)
               for path in _files(os.path.join(part, name), problems)]
              for part in _parts(folder)]
    count = sum(map(len, listed))
    height, width = data.image_size
    size = count * data.channels * height * width
    if size > BYTES:
        raise RamError(
            f'{folder}: {count} images of {height}x{width} pixels would take '
            f'{size / 2 ** 30:.1f} GiB, and may take {BYTES >> 30}; set a '
            'smaller data.image_size, with data.resize: true')
    parts = [_read_all(part, data, problems) for part in listed]
    if len(problems) > _REPORTED:
        others = len(problems) - _REPORTED
        problems[_REPORTED:] = [f'{folder}: and {others} more such problems; '
                                'correct those above first']
    if problems:
        raise RamError(*problems)
    return parts, found if data.class_names is None else None


def _parts(folder):
    """[train, test], or the folder itself."""
    names = _subfolders(folder)
    if not {'train', 'test'}.issubset(names):
        return [folder]
    if len(names) > 2:
        odd = [name for name in names if name not in ('train', 'test')]
        raise RamError(f'{folder}: holds train, test and also {odd[0]}; let '
                       'it hold the two alone, or the classes alone')
    return [os.path.join(folder, name) for name in ('train', 'test')]


def _subfolders(folder):
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _entries(folder):
    """What is in a folder, sorted, without what no user put there."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries
                           if not entry.name.startswith('.')
                           and entry.name.lower() not in _NOT_IMAGES),
                          key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise RamError(f'{folder}: cannot be read: {reason}; name a folder '
                       f'of images in data.folder, and {_LAYOUT}') from error


def _files(folder, problems):
    """The images of a class; adds to the problems."""
    paths = []
    entries = _entries(folder)
    for entry in entries:
        if entry.is_dir():
            problems.append(f'{entry.path}: a folder among the images of a '
                            'class; move its images up, or it elsewhere')
        elif os.path.splitext(entry.name)[1].lower() not in FORMATS:
            *others, last = FORMATS
            problems.append(f'{entry.path}: not a {", ".join(others)} or '
                            f'{last}; convert it, or move it elsewhere')
        else:
            paths.append(entry.path)
    if not entries:
        problems.append(f'{folder}: holds no image; put some in, or remove '
                        'the folder')
    return paths


def _read_all(listed, data, problems):
    """Images and labels; adds to the problems."""
    images = None
    for i, (path, _) in enumerate(listed):
        try:
            values = (read_image(path, data) if data.range is None
                      else _read_values(path, data))
        except RamError as error:
            problems += error.problems
            continue
        if images is None:
            images = numpy.empty((len(listed),) + values.shape, values.dtype)
        if values.dtype != images.dtype:
            problems.append(
                f'{path}: is {values.dtype}, others are {images.dtype}, and '
                'data.range counts in stored values; convert it, or remove '
                'data.range')
            continue
        images[i] = values
    return images, numpy.array([label for _, label in listed], 'int32')


def read_image(path: str, data: DataConfig) -> Array:
    """Reads one image.

    Args:
        path: A PNG, JPEG, TIFF or BMP file.
        data: ``image_size``, ``channels``, ``resize`` and ``range`` (null, or
            two numbers) are used.

    Returns:
        (C, h, w) uint8.

    Raises:
        RamError: Where it is no image, not of the right size, or of 8 bits
            where ``range`` goes beyond them.

    """
    values = _read_values(path, data)
    if data.range and values.dtype == 'uint8' and data.range[1] > 255:
        raise RamError(f'{path}: has 8 bits a channel, and data.range counts '
                       f'to {data.range[1]:g}; store it as those that the '
                       'network was trained on')
    return scale(values[None], data.range, path)[0]


def _read_values(path, data):
    """(C, h, w), as stored: uint8, uint16, int32 or float32."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            # The header alone is read yet.
            with Image.open(path, formats=sorted(set(FORMATS.values()))
                            ) as image:
                _check_header(image, path, data)
                has_16_bits = _has_16_bits(image)  # no more once it is read
                image = ImageOps.exif_transpose(image)
                if not data.resize and image.size != data.image_size[::-1]:
                    raise _misfit(image, path, data)
                if image.mode[0] in 'IF':
                    return _fit_deep(image, path, data, has_16_bits)
                return _fit(image, path, data)
    except RamError:
        raise
    except (Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:
        raise RamError(f'{path}: has more than {PIXELS} pixels; make it '
                       'smaller, or move it elsewhere') from error
    except Exception as error:  # a damaged image shows in many ways
        reason = getattr(error, 'strerror', None) or error
        raise RamError(f'{path}: no {_KINDS} that can be read '
                       f'({reason!s:.80}); replace it, or move it '
                       'elsewhere') from error


def _check_header(image, path, data):
    if image.width * image.height > PIXELS:
        raise Image.DecompressionBombError
    if not data.resize and sorted(image.size) != sorted(data.image_size):
        raise _misfit(image, path, data)
    if image.format == 'TIFF' and image.n_frames > 1:
        raise RamError(f'{path}: holds {image.n_frames} images; store each '
                       'in a file of its own')
    if data.range and image.mode[0] not in 'IF' and _has_16_bits(image):
        raise RamError(f'{path}: 16-bit colour is read as 8 bits, which '
                       'data.range does not fit; remove it, or store the '
                       'images as .npz')


def _has_16_bits(image):
    """Whether a channel has 16 bits without sign: Pillow's raw mode says so."""
    return any(re.search(r';16(?!B?S)', str(tile[3])) for tile in image.tile)


def _fit_deep(image, path, data, has_16_bits):
    """A grey image of more than 8 bits a pixel."""
    height, width = data.image_size
    values = numpy.asarray(image)
    kind = ('uint16' if has_16_bits else 'float32' if values.dtype.kind == 'f'
            else 'int32')
    if image.size != (width, height):
        values = numpy.asarray(Image.fromarray(values.astype(
            'float32')).resize((width, height), Image.Resampling.BILINEAR))
        values = values if kind == 'float32' else values.round()
    if not numpy.isfinite(values).all():
        raise RamError(f'{path}: holds NaN or infinite values; replace it, '
                       'or move it elsewhere')
    return numpy.repeat(values.astype(kind)[None], data.channels, axis=0)


def _fit(image, path, data):
    height, width = data.image_size
    if 'A' in image.getbands() or 'transparency' in image.info:
        # What is not there is black, as beyond the border.
        image = image.convert('RGBA')
        image = Image.alpha_composite(
            Image.new('RGBA', image.size, 'black'), image)
    image = image.convert('L' if data.channels == 1 else 'RGB')
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return numpy.asarray(image).reshape(height, width, -1).transpose(2, 0, 1)


def _misfit(image, path, data):
    height, width = data.image_size
    found = image.height, image.width
    if image.getexif().get(_ORIENTATION) in range(5, 9):  # on its side
        found = found[::-1]
    return RamError(
        f'{path}: is {found[0]}x{found[1]} pixels, not '
        f'{height}x{width}; set data.resize: true, or, if all are alike, '
        f'data.image_size to [{found[0]}, {found[1]}]')
