"""All pictures of a policy, with their titles and captions."""

import os
from typing import Callable, List, NamedTuple, Optional, Sequence

import numpy

from ram.evaluation.evaluate import Trajectory
from ram.evaluation.inspect import Inspection
from ram.visualizations import policy_figures as figures
from ram.visualizations import sheet
from ram.visualizations.trajectories import save_trajectories


class Picture(NamedTuple):
    """A picture: its file's name, what it shows, and how to read it."""

    name: str
    title: str
    caption: str


HARDEST = Picture(
    'hardest.png', 'The hardest images',
    'Those with the highest cross-entropy after the last glimpse.')
ODDEST = Picture(
    'oddest.png', 'The oddest paths',
    'Those that are farthest from the mean path of their class; the first '
    'location does not count.')


def save_pictures(folder: str, inspection: Inspection,
                  hardest: Sequence[Trajectory], oddest: Sequence[Trajectory],
                  patch_sizes: Sequence[int],
                  class_names: Optional[Sequence[str]] = None,
                  progress: Optional[Callable[[int, int], None]] = None
                  ) -> List[Picture]:
    """Writes a PNG of everything in an inspection.

    Args:
        folder: An existing folder.
        inspection: What to draw.
        hardest, oddest: See :func:`ram.evaluation.inspect.notable`; no
            picture of none.
        patch_sizes: Side of each scale in pixels, finest first.
        class_names: Names of the classes, numbers if left out.
        progress: Called after each picture with the number of pictures
            written and of all.

    Returns:
        The pictures, in the order in which to show them.

    Raises:
        RamError: If one cannot be written.

    """
    contents = _figures(inspection, class_names) + [
        (picture, trajectories) for picture, trajectories in (
            (HARDEST, hardest), (ODDEST, oddest)) if trajectories]
    for done, (picture, content) in enumerate(contents, 1):
        path = os.path.join(folder, picture.name)
        if callable(content):
            sheet.save_png(content()[0].figure, path)
        else:
            save_trajectories(path, content, patch_sizes, class_names)
        if progress:
            progress(done, len(contents))
    return [picture for picture, _ in contents]


def _figures(inspection, names):
    """Each picture of all images, and the function that draws it."""
    on_canvas = inspection.on_digit is not None
    first, some = inspection.first, _most_frequent(inspection)
    height, width = inspection.image_size
    own_cell = 'its own fullest cell.'
    pictures = [(Picture(
        'accuracy.png', 'Accuracy after each glimpse',
        'Accuracy if the class is read after so many glimpses. Whiskers, '
        'where they are longer than the dots: 95 % Wilson interval.'),
        lambda: figures.draw_accuracy(inspection.evaluation))]
    if on_canvas:
        pictures.append((Picture(
            'heat_digit.png', 'Glimpses relative to the digit',
            'The square is the digit\u2019s, anywhere on its canvas, and the '
            'line the outline of the mean digit. Each map counts the centers '
            f'of the glimpses and is darkest in {own_cell} Glimpses farther '
            'away are not shown.'),
            lambda: figures.draw_heat_maps(
                inspection.on_digit, inspection.digits, some, names)))
    pictures += [
        (Picture(
            'heat_image.png', 'Glimpses on the image',
            'Each map counts the centers of the glimpses and is darkest in '
            f'{own_cell} ' + (
                'Digits lie anywhere on the canvas, and so do the glimpses '
                'that follow them.' if on_canvas else
                'The line is the outline of the mean digit.')),
            lambda: figures.draw_heat_maps(
                inspection.on_image,
                None if on_canvas else inspection.digits, some, names)),
        (Picture(
            'paths.png', 'The mean path' + (
                ', relative to the digit' if on_canvas else ''),
            'Numbers are the mean locations of the glimpses on the mean '
            'digit; an ellipse spans a standard deviation around each.'),
            lambda: figures.draw_paths(inspection.paths, inspection.digits,
                                       some, on_canvas, names))]
    if len(inspection.saccades):
        pictures.append((Picture(
            'saccades.png', 'Length of the saccades',
            'Distances from each glimpse to the next, in pixels.'),
            lambda: figures.draw_saccades(inspection.saccades)))
    return pictures + [
        (Picture(
            'first_location.png', 'Error by first location',
            f'The same {first.n} images, with the first glimpse in the middle '
            'of each cell. Left: error after the last glimpse; one image is '
            f'{100 / first.n:.2g} %. Right: mean cross-entropy, which differs '
            'even where few errors do not. White is the lowest value, dark '
            'the highest.'),
            lambda: figures.draw_first_locations(first, width / height)),
        (Picture(
            'confusion.png', 'Confusion matrix',
            'Rows: the class; columns: the prediction. The darker, the more '
            'frequent a mistake.'),
            lambda: figures.draw_confusion(inspection.evaluation.confusion,
                                           names))]


def _most_frequent(inspection):
    """The most frequent classes, in order, as many as are shown."""
    counts = numpy.bincount(inspection.labels,
                            minlength=len(inspection.evaluation.confusion))
    return sorted(numpy.argsort(
        -counts, kind='stable')[:figures.CLASSES].tolist())
