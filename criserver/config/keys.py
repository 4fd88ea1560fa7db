"""Plain data against the schema: is each key known, is each value of its type? Pure; knows no files.

A value is checked alone and named by its dotted key, so that the message can say which line to mend.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from criserver.errors import ConfigError


def check(data: Mapping[str, object], section: type[Any], prefix: str = "") -> dict[str, object]:
    """`data` if `section` (a dataclass) has all its keys and their types fit; ConfigError at the first that does not.

    A section without keys (`network:` and nothing below it) comes back as an empty one.
    """
    hints = get_type_hints(section)
    for key in data:
        if key not in hints:
            raise ConfigError(f"unknown key {prefix}{key}{_nearest(key, list(hints), prefix)}")
    return {key: _check_value(value, hints[key], prefix + key) for key, value in data.items()}


def build(data: Mapping[str, object], section: type[Any]) -> Any:
    """The `section` that checked `data` describes, defaults filled in."""
    return msgspec.convert(data, section)


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """`base` with `over` on top: mappings are merged key by key, everything else is replaced as a whole."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def leaves(data: Mapping[str, object], prefix: str = "") -> list[str]:
    """The dotted names of every value in `data` that is not itself a mapping."""
    names: list[str] = []
    for key, value in data.items():
        names += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


def _check_value(value: object, hint: Any, key: str) -> object:
    if dataclasses.is_dataclass(hint):
        return check(_mapping(value, key), hint, key + ".")  # type: ignore[arg-type] # a class, as get_type_hints gives
    if get_origin(hint) is dict:
        items = _mapping(value, key).items()
        return {name: _check_value(item, get_args(hint)[1], f"{key}.{name}") for name, item in items}
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{key} must be {_expected(hint)}, not {_shown(value)}") from error
    return value


def _mapping(value: object, key: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a mapping of keys to values, not {_shown(value)}")
    return value


def _nearest(key: str, known: list[str], prefix: str) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known here are {', '.join(sorted(known))}"


_WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def _expected(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(member.value) for member in hint)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_expected(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of strings"
    return _WORDS[hint]


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text[:77]}..." if len(text) > 80 else text
