"""The records of trainings, and the table made of them."""

import json
import math
import os
import statistics
import subprocess
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from ram.evaluation.evaluate import wilson_interval
from reproduction import rows


def commit() -> Optional[str]:
    """The commit that is checked out, if git knows it."""
    done = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=rows.TOP,
                          capture_output=True, text=True)
    return done.stdout.strip() or None


def describe(record: Dict[str, Any]) -> str:
    """A record in a few words."""
    low, high = record['interval']
    return (f'test error {record["error"]:.2f} % [{low:.2f}, {high:.2f}] on '
            f'{record["n"]} images, best epoch {record["epoch"]} of '
            f'{record["epochs"]} (validation {record["validation_error"]:.2f}'
            f' %), {record["minutes"]:.0f} min')


def read_records(names: Iterable[str]) -> List[Dict[str, Any]]:
    """Records of rows, in this order and that of the seeds."""
    found = []
    for name in names:
        own = []
        if os.path.isdir(rows.RESULTS):
            for file_name in os.listdir(rows.RESULTS):
                if file_name.rpartition('-')[0] == name:
                    with open(os.path.join(rows.RESULTS, file_name)) as file:
                        own.append(json.load(file))
        found += sorted(own, key=lambda record: record['seed'])
    return found


class Summary(NamedTuple):
    """The records of a row together.

    Attributes:
        error: Mean over the seeds, in %.
        spread: 95 % Wilson interval of one seed, standard error of the mean
            of several.
        low: Lower end of the spread.
        high: Its upper end.
        seeds: Number of seeds.

    """

    error: float
    spread: str
    low: float
    high: float
    seeds: int


def summarize(records: List[Dict[str, Any]]) -> Summary:
    """Summarizes the records of a row, at least one."""
    errors = [record['error'] for record in records]
    mean = sum(errors) / len(errors)
    if len(errors) == 1:
        n = records[0]['n']
        low, high = (100 * bound for bound in wilson_interval(
            round(errors[0] * n / 100), n))
        return Summary(mean, f'[{low:.2f}, {high:.2f}]', low, high, 1)
    half = statistics.stdev(errors) / math.sqrt(len(errors))
    return Summary(mean, f'± {half:.2f}', mean - half, mean + half,
                   len(errors))


def z_score(error: float, n: int, paper: float) -> float:
    """Two-proportion z of two test errors in %, on n images each.

    Negative where the first is lower. Beyond -1.96 or 1.96 the two differ
    significantly at the 5 % level. The paper's number of images is taken to
    be n.
    """
    first, second = error / 100, paper / 100
    mean = (first + second) / 2
    return (first - second) / math.sqrt(2 * mean * (1 - mean) / n)


def table() -> str:
    """The whole table as Markdown, from the records."""
    lines = ['| task | model | paper | best public | here, mean path | | z '
             'against the paper | here, ten paths | ten draws of canvases | '
             'seeds | epochs | minutes | row |', '|---' * 13 + '|']
    for row in rows.ROWS:
        public = _number(row.public) + (
            f' ({row.protocol})' if row.protocol else '')
        cells = [row.task, row.model, _number(row.paper), public]
        records = read_records([row.name])
        cells += _measured(row, records) if records else ['not yet'] + 7 * ['']
        lines.append('| ' + ' | '.join(cells + [f'`{row.name}`']) + ' |')
    return '\n'.join(lines)


def _measured(row, records):
    """The cells of a row that has records."""
    found = summarize(records)
    better = row.paper is not None and found.error <= row.paper
    z = '' if row.paper is None else (
        f'{z_score(found.error, records[0]["n"], row.paper):.2f}')
    sampled = [r['sampled']['error'] for r in records if 'sampled' in r]
    draws = next((r['canvas_errors'] for r in records
                  if r.get('canvas_errors')), None)
    return [
        f'**{found.error:.2f}**' if better else f'{found.error:.2f}',
        found.spread, z,
        f'{statistics.mean(sampled):.2f}' if sampled else '',
        f'{statistics.mean(draws):.2f} ± {statistics.stdev(draws):.2f}'
        if draws else '',
        str(found.seeds), str(records[0]['epochs']),
        f'{statistics.mean(r["minutes"] for r in records):.0f}']


def short_table() -> str:
    """Some rows: 2, 4 and 6 glimpses on MNIST, 4 and 8 on canvases."""
    lines = ['| task | glimpses | paper | here |', '|---|---|---|---|']
    for row in rows.ROWS:
        records = read_records([row.name])
        glimpses = row.name.rpartition('-')[2]
        shown = ('2', '4', '6') if row.task == rows.MNIST else ('4', '8')
        if records and glimpses in shown:
            lines.append(
                f'| {row.task} | {glimpses} | {_number(row.paper)} | '
                f'{summarize(records).error:.2f} |')
    return '\n'.join(lines)


def _number(value):
    return '' if value is None else f'{value:.2f}'
