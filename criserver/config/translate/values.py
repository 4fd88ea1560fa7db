"""How values of other servers are said here. Each raises ValueError for what has no counterpart."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_LEVELS = {
    "trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error",
    "fatal": "error", "panic": "error",
}  # fmt: skip


def level(value: object) -> str:
    """A log level of logrus."""
    if value not in _LEVELS:
        raise ValueError("is no log level")
    return _LEVELS[str(value)]


def seconds(value: object) -> float:
    """A duration of Go, as in 5m0s."""
    found = _DURATION.fullmatch(str(value))
    if not found or not any(found.groups()):
        raise ValueError("is no duration")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def port(value: object) -> int:
    """A port number, perhaps as a string."""
    return int(str(value))


def positive(value: object) -> int | None:
    """A number above 0; others mean "no limit" and need no saying."""
    number = int(str(value))
    return number if number > 0 else None


def host(value: object) -> str:
    """The address in ADDRESS:PORT."""
    return str(value).rpartition(":")[0].strip("[]") or "127.0.0.1"


def host_port(value: object) -> int:
    """The port in ADDRESS:PORT."""
    return port(str(value).rpartition(":")[2])


def nonempty_list(value: object) -> list[str]:
    """A list of strings, or one string as a list of one."""
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
