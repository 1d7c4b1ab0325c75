"""All keys as a Markdown table."""

import json
from typing import get_args

from ram.config.schema import Config


def reference() -> str:
    """All keys with default and meaning, one Markdown table a section."""
    lines = []
    for name, section in Config.model_fields.items():
        cls = section.annotation
        lines += [f'**{name}** — {cls.__doc__[0].lower()}{cls.__doc__[1:]}',
                  '', '| key | default | meaning |', '|---|---|---|']
        defaults = cls().model_dump(mode='json')
        for key, field in cls.model_fields.items():
            default = json.dumps(defaults[key]).strip('"')
            lines.append(f'| `{key}` | {default} | {_meaning(field)} |')
        lines.append('')
    return '\n'.join(lines)


def _meaning(field):
    choices = get_args(field.annotation)
    if all(isinstance(choice, str) for choice in choices) and choices:
        return f'{", ".join(f"`{c}`" for c in choices)}: {field.description}'
    return field.description
