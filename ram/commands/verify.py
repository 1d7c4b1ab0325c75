"""ram verify"""

import argparse
from typing import Any

from ram.commands import arguments
from ram.devices import get_device
from ram.evaluation.verify import verify, verify_pretrained

EXAMPLES = """\
examples:
  ram verify runs/mnist
  ram verify runs/mnist --device @cupy:0
  ram verify pretrained:cluttered-8

Exit status 0 if configuration, log and error agree, 1 if they do not.
"""


def add_parser(commands: Any) -> None:
    """Adds the arguments of `ram verify`."""
    parser = arguments.command(commands, 'verify', run,
                               "measure a run's best network again", EXAMPLES)
    parser.add_argument('folder', metavar='RUN_DIR',
                        help='a run folder of ram train, or pretrained:NAME')
    arguments.add_import(parser)
    arguments.add_device(parser)
    arguments.add_root(parser)


def run(args: argparse.Namespace) -> int:
    """Prints what agrees and what differs."""
    arguments.import_modules(args)
    check = (verify_pretrained if args.folder.startswith('pretrained:')
             else verify)
    findings = check(args.folder, get_device(args.device), args.data_root)
    for finding in findings:
        print(f'{finding.what}: {finding.recorded}; {finding.found}: '
              + ('agrees' if finding.holds else 'DIFFERS'))
    holds = all(finding.holds for finding in findings)
    print(f'{args.folder}: ' + ('verified' if holds else 'not verified'))
    return 0 if holds else 1
