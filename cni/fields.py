"""Foreign JSON, read through typed getters whose error names the path.

Configurations, results, cache files and plugins' errors all come from outside. They are decoded by `decode` (bounded,
finite, not too deep) and read through a `Node`. What is wrong raises `FieldError`, which each public entry of this
package translates to its own `CniError`; it never leaves the package. This module knows nothing of CNI.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JSON_LIMIT = 1 << 20
"""Bytes of one JSON document that are looked at: a result with thousands of routes fits many times over."""

DEPTH_LIMIT = 64
"""Levels of nesting; real documents have fewer than ten, and Python's encoder must not meet its recursion limit."""


class FieldError(ValueError):
    """A document or one of its fields is not what it must be; the text names the path."""


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise FieldError(f"the number {text[:32]} is not finite")
    return number


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise FieldError(f"nested deeper than {DEPTH_LIMIT} levels")


def decode(data: bytes, what: str, limit: int = JSON_LIMIT) -> Node:
    """Return the JSON object in `data` as a `Node` whose path starts with `what`.

    Raises FieldError when it is longer than `limit` bytes, not UTF-8, not JSON, not an object, or nested absurdly.
    """
    if len(data) > limit:
        raise FieldError(f"{what}: longer than {limit} bytes")
    try:
        value = json.loads(data.decode(), parse_float=_finite, parse_constant=_finite)
        _check_depth(value)
    except FieldError as error:
        raise FieldError(f"{what}: {error}") from None
    except UnicodeDecodeError as error:
        raise FieldError(f"{what}: not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise FieldError(f"{what}: nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError as error:
        raise FieldError(f"{what}: not JSON: {error}") from None
    return node(value, what)


def encode(value: Mapping[str, Any]) -> bytes:
    """Return `value` as compact JSON, ASCII only, so that no consumer's idea of UTF-8 matters."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def node(value: object, path: str) -> Node:
    """Return `value`, which must be an object, as a Node."""
    if not isinstance(value, dict):
        raise FieldError(f"{path}: must be an object, is {_kind(value)}")
    return Node(value, path)


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")


@dataclass(frozen=True, slots=True)
class Node:
    """One JSON object and where it stands. A missing key and `null` are the same, as in the plugins' own decoder."""

    value: dict[str, Any]
    path: str

    def at(self, key: str) -> str:
        """Return the path of `key`, for messages."""
        return f"{self.path}.{key[:64]}"

    def has(self, key: str) -> bool:
        """Say whether `key` is there and not null."""
        return self.value.get(key) is not None

    def _get(self, key: str, kind: type, wanted: str) -> Any:
        value = self.value.get(key)
        if value is not None and type(value) is not kind:
            raise FieldError(f"{self.at(key)}: must be {wanted}, is {_kind(value)}")
        return value

    def text(self, key: str) -> str:
        """Return a string; "" when missing."""
        return self._get(key, str, "a string") or ""

    def number(self, key: str) -> int | None:
        """Return an integer, or None when missing. A boolean is not a number."""
        value: int | None = self._get(key, int, "an integer")
        return value

    def unsigned(self, key: str) -> int | None:
        """Return an integer of at least 0, or None when missing."""
        value = self.number(key)
        if value is not None and value < 0:
            raise FieldError(f"{self.at(key)}: must not be negative, is {value}")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean; False when missing. The words "true" and "false" are taken too, as libcni does."""
        value = self.value.get(key)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return bool(self._get(key, bool, "true or false"))

    def strings(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; empty when missing."""
        items = self._get(key, list, "a list of strings") or []
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise FieldError(f"{self.at(key)}[{index}]: must be a string, is {_kind(item)}")
        return tuple(items)

    def child(self, key: str) -> Node:
        """Return the object under `key`; an empty one when missing."""
        return node(self.value[key], self.at(key)) if self.has(key) else Node({}, self.at(key))

    def children(self, key: str) -> tuple[Node, ...]:
        """Return a list of objects; empty when missing."""
        items = self._get(key, list, "a list of objects") or []
        return tuple(node(item, f"{self.at(key)}[{index}]") for index, item in enumerate(items))
