"""Safe YAML with plain numbers, read and written."""

import re
from typing import Any

import yaml

from ram.errors import RamError


class Loader(yaml.SafeLoader):
    """Safe YAML with plain numbers, and no key given twice.

    PyYAML follows YAML 1.1, to which 1e-3 is a word, 010 the number 8 and
    1:30 the number 90.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known
                if not tag.endswith((':int', ':float'))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()}

    def construct_mapping(self, node, deep=False):
        """A dict of the node; its keys are words, each given once."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key!r} is not a word',
                    key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key {key!r} is given twice',
                    key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class Dumper(yaml.SafeDumper):
    """Quotes the words that the loader would take for numbers."""


for _cls in (Loader, Dumper):
    _cls.add_implicit_resolver(
        'tag:yaml.org,2002:int', re.compile(r'^[-+]?(0|[1-9][0-9]*)$'),
        list('-+0123456789'))
    _cls.add_implicit_resolver(
        'tag:yaml.org,2002:float', re.compile(
            r'^([-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?'
            r'|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$'),
        list('-+.0123456789'))


def parse_yaml(text: str, origin: str) -> Any:
    """The value of a YAML text.

    Args:
        text: YAML.
        origin: The file or flag that it comes from, for the errors.

    Raises:
        RamError: Where it is not valid, or uses more of YAML than a
            configuration needs.

    """
    try:
        _refuse_unneeded(text, origin)
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = '' if mark is None else f', line {mark.line + 1}'
        problem = getattr(error, 'problem', None) or str(error)
        problem = ' '.join(problem.split())
        raise RamError(
            f'{origin}{where}: not valid YAML: {problem}') from error
    # A date of month 13, [[[[...
    except (ValueError, OverflowError, RecursionError) as error:
        raise RamError(f'{origin}: not valid YAML: {error}') from error


def _refuse_unneeded(text, origin):
    """Refuses what no configuration needs and could exhaust the parser."""
    depth = 0
    for token in yaml.scan(text, Loader=Loader):
        # With aliases a short text can stand for a huge one.
        if isinstance(token, yaml.AliasToken):
            raise RamError(f'{origin}: has a YAML alias (*name); write the '
                           'value out')
        # A tag asks for a type; the keys have types.
        if isinstance(token, yaml.TagToken):
            raise RamError(f'{origin}: has a YAML tag (!name); write the '
                           'plain value')
        kind = type(token).__name__
        depth += (kind.endswith('StartToken') and 'Stream' not in kind) - (
            kind.endswith('EndToken') and 'Stream' not in kind)
        if depth > 20:
            raise RamError(f'{origin}: is nested more than 20 deep; write '
                           'sections with keys')
