"""Types of the keys of a configuration."""

import math
from typing import Annotated, Any, List, Tuple

import pydantic


def _as_size(value):
    """One number stands for a square, a list of two for (height, width)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    return tuple(value) if isinstance(value, list) else value


def _as_range(value):
    """None, ``auto``, or (low, high)."""
    if value is None or value == 'auto':
        return value
    if (isinstance(value, (list, tuple)) and len(value) == 2
            and all(type(v) in (int, float) and math.isfinite(v)
                    for v in value) and value[0] < value[1]):
        return tuple(map(float, value))
    raise ValueError('must be auto, or [low, high] with low below high')


def _printable(text):
    """Names are printed, and must not control a terminal."""
    if not text.isprintable():
        raise ValueError('must be printable text')
    return text


def renamed(old: Any, new: Any) -> Any:
    """Reads an old word, or what YAML makes of a word, as the new one."""
    return pydantic.BeforeValidator(lambda v: new if v == old else v)


def key(default: Any, meaning: str, **limits: Any) -> Any:
    """A key with its default, its meaning and its limits."""
    return pydantic.Field(default, description=meaning, **limits)


Count = Annotated[int, pydantic.Field(ge=1, le=10 ** 6)]
Side = Annotated[int, pydantic.Field(ge=1, le=4096)]
Size = Annotated[Tuple[Side, Side], pydantic.BeforeValidator(_as_size)]
Range = Annotated[Any, pydantic.PlainValidator(_as_range)]
Name = Annotated[str, pydantic.Field(min_length=1, max_length=100),
                 pydantic.AfterValidator(_printable)]
Seed = Annotated[int, pydantic.Field(ge=0, le=2 ** 63 - 1)]
Weight = Annotated[float, pydantic.Field(ge=0, le=1e6)]
Names = Annotated[List[Name], pydantic.Field(min_length=2)]
