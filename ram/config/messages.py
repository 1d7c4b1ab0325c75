"""Problems of a configuration in plain words."""

import difflib
from typing import Any, Dict, Iterable, Tuple, get_args

from ram.config.schema import PARTS


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is closest, or all of them, as a clause."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f'; did you mean {near[0]}?'
    return f'; known are {", ".join(sorted(known))}'


def describe(error: Dict[str, Any], section_class: Any) -> Tuple[str, str]:
    """A pydantic error as (key within the section, plain words)."""
    key = str(error['loc'][0])
    kind = error['type']
    value = error['input']
    value = list(value) if isinstance(value, tuple) else value
    context = error.get('ctx', {})
    bounds = {'greater_than': 'must be above {gt}',
              'greater_than_equal': 'must be at least {ge}',
              'less_than': 'must be below {lt}',
              'less_than_equal': 'must be at most {le}'}
    if kind in bounds:
        words = bounds[kind].format(**context)
    elif kind == 'literal_error':
        field = section_class.model_fields[key]
        choices = get_args(field.annotation)
        words = 'must be one of ' + ', '.join(choices)
        if isinstance(value, str):
            near = difflib.get_close_matches(value, choices, n=1)
            words += f' (did you mean {near[0]}?)' if near else ''
    elif kind == 'string_pattern_mismatch' and key in PARTS:
        words = (f'must be {", ".join(PARTS[key])}, or a class of your own, '
                 'module.Class')
    elif kind == 'string_pattern_mismatch':
        words = 'must be a plain folder name (letters, digits, . _ -)'
    elif kind == 'value_error':
        words = str(context['error'])
    elif kind == 'finite_number':
        words = 'must be a finite number'
    else:
        wanted = {'int_type': 'a whole number', 'float_type': 'a number',
                  'bool_type': 'true or false', 'string_type': 'text',
                  'tuple_type': 'a whole number or [height, width]',
                  'missing': 'a whole number or [height, width]',
                  'too_long': 'a whole number or [height, width]',
                  'list_type': 'a list, such as ' + (
                      '[cat, dog]' if key == 'class_names' else '[60, 80]'),
                  'too_short': 'a list of two or more',
                  'string_too_short': 'text of a letter or more',
                  'string_too_long': 'shorter text'}
        words = ('must be ' + wanted[kind] if kind in wanted
                 else error['msg'][:1].lower() + error['msg'][1:])
    return key, f'{words}, not {value!r:.60}'
