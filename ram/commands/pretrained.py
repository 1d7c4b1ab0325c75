"""ram pretrained"""

import argparse
import json
import os
from typing import Any

from ram import checkpoint
from ram.commands import arguments
from ram.commands.runs import print_columns
from ram.errors import RamError

EXAMPLES = """\
examples:
  ram pretrained
  ram evaluate pretrained:mnist-6
"""
NETWORKS = {'ram': 'RAM', 'fc': 'fully connected', 'conv': 'convolutional'}


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram pretrained`."""
    arguments.command(commands, 'pretrained', run,
                      'list the networks that come with the program',
                      EXAMPLES)


def run(args: argparse.Namespace) -> None:
    """Prints a table of the networks."""
    folder = checkpoint.PRETRAINED
    names = sorted(name[:-5] for name in os.listdir(folder)
                   if name.endswith('.json')) if os.path.isdir(folder) else []
    if not names:
        raise RamError(f'{folder}: holds no network; install the program '
                       'again')
    lines = [['name', 'task', 'network', 'glimpses', 'test error']]
    for name in names:
        with open(os.path.join(folder, name + '.json')) as file:
            card = json.load(file)
        data, model = card['config']['data'], card['config']['model']
        height, width = data['canvas'] or data['image_size']
        task = data['name'] if data['variant'] == 'original' else (
            f'{data["variant"]} {data["name"]}')
        is_ram = model['network'] == 'ram'
        lines.append([
            f'pretrained:{name}', f'{task} {height}x{width}',
            NETWORKS[model['network']],
            str(model['glimpses']) if is_ram else '',
            f'{card["error"]:.2f} %'])
    print_columns(lines)
