"""Checks of single values of a request, each of whose errors names the field, the value and the fix.

Every value here was written by somebody else. What passes may be put into file names, log lines, JSON, environments and
CNI arguments without being taken apart there. Knows no message; `spec.checks` has what the OCI document needs too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TypeVar

from criserver.errors import InvalidArgument
from criserver.spec import checks

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEY_LIMIT = 512
_MAP_LIMIT = 1 << 20
"""Bytes of all keys and values of one map; the API server allows 256 KiB of annotations, the kubelet adds its own."""

Number = TypeVar("Number")


def name(value: str, field: str) -> str:
    """A name of a pod, namespace, container, or a pod's uid: letters, digits and "-._" only, at most 253 of them.

    It becomes part of directory names and of CNI_ARGS, where "/" and ";" would begin something new.
    """
    if not value:
        raise InvalidArgument(f"{field}: empty; give one")
    if not _NAME.fullmatch(value):
        raise InvalidArgument(f'{field}: {value[:80]!r}; give letters, digits, "-", "_" and "." only, at most 253')
    return value


def hostname(value: str, field: str) -> str:
    """A host name, or nothing: at most 64 bytes (gethostname(2)) of letters, digits, "-", "_" and "."."""
    if value and not _HOSTNAME.fullmatch(value):
        raise InvalidArgument(f'{field}: {value[:80]!r}; give letters, digits, "-" and "." only, at most 64')
    return value


def line(value: str, field: str) -> str:
    """Text without control characters, so that it stays one line wherever it is written."""
    if _CONTROL.search(value):
        raise InvalidArgument(f"{field}: {value[:80]!r} holds a control character; remove it")
    return value


def texts(given: Mapping[str, str], field: str) -> dict[str, str]:
    """Labels, annotations: keys in one line, values any text, sorted by key, bounded together."""
    size = sum(len(key) + len(value) for key, value in given.items())
    if size > _MAP_LIMIT:
        raise InvalidArgument(f"{field}: {size} bytes in all; give at most {_MAP_LIMIT}")
    for key in given:
        if not key or len(key) > _KEY_LIMIT:
            raise InvalidArgument(f"{field}: key {key[:80]!r}; give 1 to {_KEY_LIMIT} characters")
        line(key, f"{field}: key")
    return {key: given[key] for key in sorted(given)}


def relative_path(value: str, field: str) -> str:
    """A path that stays below where it begins (CVE-2025-0750); empty stays empty."""
    if not value:
        return ""
    line(checks.text(value, field), field)
    if value.startswith("/") or ".." in value.split("/"):
        raise InvalidArgument(f'{field}: {value[:80]!r}; give a relative path without ".."')
    return checks.normal_path(value)[1:]


def directory(value: str, field: str) -> str:
    """An absolute path in one line and in normal form, or nothing."""
    return line(checks.absolute_path(value, field), field) if value else ""


def port(value: int, field: str) -> int:
    """A TCP, UDP or SCTP port, 0 for none."""
    return checks.number(value, 0, 65535, field)


def address(value: str, field: str) -> str:
    """An IP address of either family as text, or nothing."""
    if value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise InvalidArgument(f"{field}: {value[:80]!r} is not an IP address; give one, or nothing") from None
    return value


def choice(value: int, table: Mapping[int, Number], field: str) -> Number:
    """What an enum's number stands for; a number that this interface does not have is refused (proto3 lets it by)."""
    try:
        return table[value]
    except KeyError:
        known = ", ".join(str(member) for member in table)
        raise InvalidArgument(f"{field}: {value} is not known; give one of {known}") from None
