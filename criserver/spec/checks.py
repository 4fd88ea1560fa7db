"""Checks of single values that several parts of a request share; each error names the field, the value and the fix."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from criserver.errors import InvalidArgument

_PATH_MAX = 4096


def words(text: str, prefix: str = "") -> tuple[str, ...]:
    """The words of a table that is written as text, each with `prefix` before it."""
    return tuple(prefix + word for word in text.split())


def number(value: int, low: int, high: int, field: str) -> int:
    """`value` when it is within both bounds, else InvalidArgument."""
    if not low <= value <= high:
        raise InvalidArgument(f"{field}: {value} is out of range; give {low} to {high}")
    return value


def text(value: str, field: str) -> str:
    """`value` when it can be written as a C string in UTF-8: no NUL byte, no lone surrogate.

    The error leaves out the value, which may be a secret of an environment.
    """
    if "\0" in value:
        raise InvalidArgument(f"{field}: holds a NUL byte; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{field}: not valid UTF-8; give valid text") from None
    return value


def absolute_path(value: str, field: str) -> str:
    """The normal form of an absolute path without ".." (CVE-2022-23648), at most 4095 bytes (path_resolution(7))."""
    text(value, field)
    if not value.startswith("/"):
        raise InvalidArgument(f"{field}: {value!r} is not an absolute path; begin it with /")
    if ".." in value.split("/"):
        raise InvalidArgument(f'{field}: {value!r} holds ".."; give the path without it')
    if len(value.encode()) >= _PATH_MAX:
        raise InvalidArgument(f"{field}: path of {len(value.encode())} bytes; at most {_PATH_MAX - 1} are possible")
    return normal_path(value)


def normal_path(value: str) -> str:
    """An absolute path without empty parts, "." and trailing slash."""
    return "/" + posixpath.normpath(value).lstrip("/")


def beneath(path: str, parent: str) -> bool:
    """Whether a normal path is `parent` or lies in it."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def writable(document: Mapping[str, Any]) -> None:
    """InvalidArgument when any text in the document could not reach the runtime as it is; names where."""
    for where, value in _texts(document, ""):
        if "\0" in value or not value.isascii():
            text(value, where)


def _texts(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield where, key
            yield from _texts(member, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member, where)
