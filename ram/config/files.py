"""Configurations from files, --set and checkpoints."""

import os
import sys
from typing import Any, Dict, Iterable, Iterator, List, Tuple

import pydantic

from ram.config.checks import contradictions
from ram.config.messages import describe, nearest
from ram.config.schema import SECTIONS, Config
from ram.config.yaml_text import parse_yaml
from ram.errors import RamError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The configurations that come with the program: of a wheel, of a checkout.
SHIPPED = (os.path.join(_PACKAGE, 'configs'),
           os.path.join(os.path.dirname(_PACKAGE), 'configs'))
_REMEDY = 'name a YAML configuration, such as configs/mnist.yaml'


def _flatten(tree, origin, problems):
    """{'model.glimpses': value} of a parsed file; adds to the problems."""
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        problems.append(f'{origin}: must hold the sections '
                        f'{", ".join(SECTIONS)}, each with its keys')
        return {}
    flat = {}
    for section, body in tree.items():
        if section not in SECTIONS:
            problems.append(f'{origin}: {section}: no such section'
                            + nearest(section, SECTIONS + ('extends',)))
        elif isinstance(body, dict):
            flat.update({f'{section}.{key}': v for key, v in body.items()})
        elif body is not None:
            problems.append(f'{origin}: {section}: must hold keys, indented '
                            f'below it, not {body!r:.40}')
    return flat


def find_config(path: str) -> str:
    """The file of a path: itself, or one that comes with the program.

    ``configs/NAME.yaml`` names the program's own file where there is no file
    of that path; a line on standard error says so.
    """
    folder, _, name = os.path.normpath(path).partition(os.sep)
    if os.path.exists(path) or folder != 'configs':
        return path
    for shipped in SHIPPED:
        found = os.path.join(shipped, name)
        if os.path.isfile(found):
            print(f'ram: no {path} here; the one that comes with the program '
                  f'is used: {found}', file=sys.stderr)
            return found
    return path


def _remedy(path):
    """What to name instead of a file that cannot be read."""
    names = sorted({name for folder in SHIPPED if os.path.isdir(folder)
                    for name in os.listdir(folder) if name.endswith('.yaml')})
    if os.path.dirname(path) != 'configs' or not names:
        return _REMEDY
    return f'there are configs/{{{", ".join(name[:-5] for name in names)}}}.yaml'


def _read_text(path, named, above):
    try:
        if os.path.realpath(path) in map(os.path.realpath, above):
            raise RamError(f'{named}: extends itself; remove one of the '
                           'extends lines')
        with open(path, encoding='utf-8') as file:
            text = file.read(10 ** 6 + 1)
    except UnicodeDecodeError as error:
        raise RamError(f'{named}: not a text file; {_REMEDY}') from error
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise RamError(
            f'{named}: cannot be read: {reason}; {_remedy(path)}') from error
    if len(text) > 10 ** 6:
        raise RamError(f'{path}: larger than 1 MB; {_REMEDY}')
    return text


def _read_file(path, problems, above=()):
    """Values of a file and of those it extends, and where each came from."""
    named = f'{above[-1]}: extends: {path}' if above else path
    text = _read_text(path, named, above)
    tree = parse_yaml(text, path)
    values, origins = {}, {}
    if isinstance(tree, dict) and 'extends' in tree:
        base = tree.pop('extends')
        if not isinstance(base, str):
            raise RamError(f'{path}: extends: must name one file, not '
                           f'{base!r:.40}')
        file = os.path.join(os.path.dirname(path), os.path.expanduser(base))
        if not os.path.exists(file):
            shipped = find_config(base)
            file = file if shipped == base else shipped
        values, origins = _read_file(file, problems, above + (path,))
    own = _flatten(tree, path, problems)
    values.update(own)
    origins.update(dict.fromkeys(own, path))
    return values, origins


def _read_overrides(overrides, problems):
    values = {}
    for text in overrides:
        key, equals, value = text.partition('=')
        if not equals or key.count('.') != 1:
            problems.append(f'--set {text}: must be section.key=value, for '
                            'example model.glimpses=4')
            continue
        values[key] = parse_yaml(value, f'--set {key}')
    return values


def build_config(values: Dict[str, Any], origins: Dict[str, str],
                 problems: Iterable[str] = ()) -> Config:
    """Checks flat values and builds the configuration.

    Args:
        values: ``{'section.key': value}``; absent keys take their defaults.
        origins: ``{'section.key': file or flag}``, for the errors.
        problems: Problems found before, reported together.

    Raises:
        RamError: With one line for each problem: unknown keys, wrong types,
            values out of range, impossible combinations.

    """
    problems, bad, sections = list(problems), set(), {}
    for key in [k for k in values if k.split('.')[0] not in SECTIONS]:
        section = key.split('.')[0]
        problems.append(f'{origins[key]}: {key}: no such section {section}'
                        + nearest(section, SECTIONS))
    for name in SECTIONS:
        sections[name], found = _build_section(name, values)
        bad.update(found)
        problems += [f'{origins[key]}: {key}: {words}'
                     for key, words in found.items()]
    config = Config(**sections)
    # Combinations are checked unless one of their values is bad.
    for key, compared, words in contradictions(config):
        if not bad.intersection(compared):
            given = [k for k in (key, *compared) if k in origins]
            origin = origins[given[0]] if given else 'configuration'
            problems.append(f'{origin}: {key}: {words}')
    if problems:
        raise RamError(*problems)
    return config


def _build_section(name, values):
    """A section without its bad values; and the problem of each, by key."""
    cls = Config.model_fields[name].annotation
    own = {key.split('.', 1)[1]: value for key, value in values.items()
           if key.startswith(name + '.')}
    # Beside a key that is not text, pydantic would check nothing else.
    unknown = sorted(set(own).difference(cls.model_fields))
    problems = {key: 'no such key' + nearest(key, tuple(cls.model_fields))
                for key in unknown}
    own = {key: value for key, value in own.items() if key not in problems}
    try:
        section = cls(**own)
    except pydantic.ValidationError as error:
        bad = dict(describe(e, cls) for e in reversed(error.errors()))
        problems.update(bad)
        section = cls(**{key: value for key, value in own.items()
                         if key not in bad})
    return section, {f'{name}.{key}': words
                     for key, words in problems.items()}


def load_config(path: Any, overrides: Iterable[str] = ()) -> Config:
    """Reads and checks a YAML configuration.

    Args:
        path: The file, see :func:`find_config`. Paths in ``extends`` are
            relative to it.
        overrides: ``section.key=value`` each, the value in YAML; they win
            over the file.

    Raises:
        RamError: With one line for every problem found.

    """
    problems: List[str] = []
    values, origins = _read_file(find_config(str(path)), problems)
    own = _read_overrides(overrides, problems)
    values.update(own)
    origins.update({key: '--set' for key in own})
    return build_config(values, origins, problems)


def config_from_dict(tree: Any, origin: str) -> Config:
    """Rebuilds the configuration of :meth:`Config.as_dict`.

    Args:
        tree: ``{section: {key: value}}``.
        origin: The file it comes from, for the errors.

    Raises:
        RamError: Where it does not fit, for instance because a newer version
            wrote it.

    """
    problems: List[str] = []
    values = _flatten(tree, origin, problems)
    return build_config(values, dict.fromkeys(values, origin), problems)


def differences(old: Config, new: Config, ignoring: Iterable[str] = ()
                ) -> Iterator[Tuple[str, Any, Any]]:
    """Yields ``('section.key', old value, new value)`` where they differ.

    Args:
        old: A configuration.
        new: Another one.
        ignoring: Dotted keys that do not count.

    """
    before, after = old.as_dict(), new.as_dict()
    for section, keys in after.items():
        for key, value in keys.items():
            dotted = f'{section}.{key}'
            if before[section][key] != value and dotted not in ignoring:
                yield dotted, before[section][key], value
