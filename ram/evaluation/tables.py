"""Predictions of single images as CSV and JSON."""

import csv
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy

from ram.files import replacing


def prediction_rows(names: Sequence[str], probabilities: numpy.ndarray,
                    points: numpy.ndarray, class_names: Sequence[str],
                    labels: Optional[numpy.ndarray] = None
                    ) -> Iterator[Dict[str, Any]]:
    """Yields the prediction of each of N images, in plain types.

    Args:
        names: N, of the images.
        probabilities: (N, K) after the last glimpse.
        points: (N, T, 2) x and y of the glimpses, in pixels.
        class_names: K.
        labels: (N,) int32, if they are known.

    """
    for i, name in enumerate(names):
        row = {'image': name}
        if labels is not None:
            row['label'] = class_names[labels[i]]
        row['prediction'] = class_names[probabilities[i].argmax()]
        row['probability'] = float(probabilities[i].max())
        row['probabilities'] = dict(zip(class_names,
                                        probabilities[i].tolist()))
        row['locations'] = points[i].tolist()
        yield row


def write_csv(path: str, rows: List[Dict[str, Any]]) -> None:
    """Writes prediction rows, a column for each class and coordinate.

    Raises:
        RamError: Where it cannot be written.

    """
    flat = [_flat(row) for row in rows]
    with replacing(path, 'w') as file:
        writer = csv.DictWriter(file, list(flat[0]) if flat else [],
                                lineterminator='\n')
        writer.writeheader()
        writer.writerows(flat)


def _flat(row):
    row = dict(row)
    shares, points = row.pop('probabilities'), row.pop('locations')
    row['probability'] = f'{row["probability"]:.6f}'
    for name, share in shares.items():
        row[f'p({name})'] = f'{share:.6f}'
    for t, (x, y) in enumerate(points, 1):
        row[f'x{t}'], row[f'y{t}'] = f'{x:.2f}', f'{y:.2f}'
    return row
