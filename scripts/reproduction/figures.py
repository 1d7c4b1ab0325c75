"""The figures of the table."""

import os

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot, ticker  # noqa: E402

from ram.config import load_config  # noqa: E402
from ram.files import replacing  # noqa: E402
from reproduction import rows as table  # noqa: E402
from reproduction.records import read_records, summarize  # noqa: E402

TASKS = (table.MNIST, table.TRANSLATED, table.CLUTTERED, table.WIDE)
OURS, PAPER, PUBLIC, RANDOM = '#0072B2', '#555555', '#D55E00', '#E69F00'


def draw_results(path: str) -> None:
    """The rows that have records: the errors of a row side by side."""
    rows = [row for row in table.ROWS if read_records([row.name])]
    counts = [sum(row.task == task for row in rows) for task in TASKS]
    figure, axes = pyplot.subplots(
        len(TASKS), 1, figsize=(9, 0.32 * sum(counts) + 3),
        gridspec_kw={'height_ratios': [max(n, 1) for n in counts]},
        constrained_layout=True)
    for axis, task in zip(axes, TASKS):
        _draw_task(axis, task, [row for row in rows if row.task == task])
    axes[-1].set_xlabel('test error (%), logarithmic; lines: 95 % interval '
                        'of one seed, standard error of several')
    figure.legend(*_legend(axes), loc='lower right', ncol=3,
                  bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, path)


def _draw_task(axis, task, rows):
    for y, row in enumerate(rows):
        if row.paper is not None:
            axis.plot(row.paper, y, 'D', color=PAPER, mfc='white',
                      label='paper')
        if row.public is not None:
            axis.plot(row.public, y, 'x', color=PUBLIC,
                      label='best public program')
        found = summarize(read_records([row.name]))
        axis.plot([found.low, found.high], [y, y], '-', color=OURS,
                  linewidth=2)
        axis.plot(found.error, y, 'o', color=OURS, label='here')
    axis.set_yticks(range(len(rows)))
    axis.set_yticklabels([row.model for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xscale('log')
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7)))
    axis.xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.grid(axis='x', color='#dddddd')
    axis.set_title(task, loc='left', fontsize=10)


def draw_claims(path: str) -> None:
    """The paper's claims: error against glimpses, with what it is compared to.

    A panel for each task: RAM by its number of glimpses, the paper's and
    ours; random glimpses; the convolutional network as a line.
    """
    figure, axes = pyplot.subplots(1, 4, figsize=(12, 3.4),
                                   constrained_layout=True)
    for axis, task in zip(axes, TASKS):
        _draw_claim(axis, {row.name.partition('-')[2]: row
                           for row in table.ROWS if row.task == task})
        axis.set_title(task, fontsize=10)
    axes[0].set_ylabel('test error (%)')
    axes[-1].legend(*_legend(axes), fontsize=7, loc='upper left',
                    bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, path)


def _draw_claim(axis, rows):
    found = {key: summarize(read_records([row.name]))
             for key, row in rows.items() if read_records([row.name])}
    counts = sorted(int(key) for key in rows if key.isdecimal())
    axis.plot(counts, [rows[str(n)].paper for n in counts], 'D--',
              color=PAPER, mfc='white', label='RAM, paper')
    here = [n for n in counts if str(n) in found]
    if here:
        ours = [found[str(n)] for n in here]
        axis.errorbar(
            here, [o.error for o in ours],
            [[o.error - o.low for o in ours],
             [o.high - o.error for o in ours]],
            fmt='o-', color=OURS, capsize=3, label='RAM, here')
    if 'random' in rows:
        glimpses = load_config(os.path.join(
            table.CONFIGS, f'{rows["random"].name}.yaml')).model.glimpses
    if 'random' in rows and rows['random'].paper is not None:
        axis.plot(glimpses, rows['random'].paper, '^', color=PAPER, mfc='white',
                  label='random glimpses, paper')
    if 'random' in found:
        axis.plot(glimpses, found['random'].error, '^', color=RANDOM,
                  label='random glimpses, here')
    axis.axhline(rows['conv'].paper, color=PAPER, linestyle=':',
                 label='convolutional, paper')
    if 'conv' in found:
        axis.axhline(found['conv'].error, color=PUBLIC, linestyle='-.',
                     label='convolutional, here')
    axis.set_xticks(counts)
    axis.set_ylim(bottom=0)
    axis.set_xlabel('glimpses')
    axis.grid(color='#eeeeee')


def _legend(axes):
    """Handles and labels of all axes, each label once."""
    handles = {}
    for axis in axes:
        handles.update(dict(zip(*reversed(
            axis.get_legend_handles_labels()))))
    return handles.values(), handles.keys()


def _save(figure, path):
    with replacing(path) as file:
        figure.savefig(file, format='png', dpi=110, bbox_inches='tight')
    pyplot.close(figure)
