"""The small notations in which the configuration says what containers get without asking. Pure.

Each function takes one entry; ValueError says what it must be.
"""

from __future__ import annotations

import os
import re

_ULIMIT = re.compile(r"(?P<name>[a-z]+)=(?P<soft>-1|[0-9]{1,19})(:(?P<hard>-1|[0-9]{1,19}))?")
_NUMBER = re.compile("(?P<digits>[1-9][0-9]{0,14})(?P<unit>[KMG]?)")
_OPTION = re.compile("[a-z]+")
_LIMITS = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue"),
    *("nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)
# RLIM_INFINITY of getrlimit(2): no limit.
UNLIMITED = 2**64 - 1
LOCAL = "Local"


def pair(entry: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, separator, value = entry.partition("=")
    if not name or not separator or "\0" in entry:
        raise ValueError("must be NAME=VALUE")
    return name, value


def ulimit(entry: str) -> tuple[str, int, int]:
    """NAME=SOFT:HARD, or NAME=BOTH, with NAME as in ulimit(1) and docker; returns the name in setrlimit(2)."""
    found = _ULIMIT.fullmatch(entry)
    if not found or found["name"] not in _LIMITS:
        raise ValueError(f"must be NAME=SOFT:HARD with one of {', '.join(_LIMITS)}")
    soft, hard = (UNLIMITED if text == "-1" else int(text) for text in (found["soft"], found["hard"] or found["soft"]))
    if not soft <= hard <= UNLIMITED:
        raise ValueError("must have a soft limit that is no more than the hard one")
    return f"RLIMIT_{found['name'].upper()}", soft, hard


def mount(entry: str) -> tuple[str, str, tuple[str, ...]]:
    """SOURCE:DESTINATION[:OPTION,...]; both paths absolute and clean."""
    source, separator, rest = entry.partition(":")
    destination, _, options = rest.partition(":")
    words = tuple(options.split(",")) if options else ("rw",)
    if not separator or not all(map(_is_clean, (source, destination))) or not all(map(_OPTION.fullmatch, words)):
        raise ValueError("must be SOURCE:DESTINATION or SOURCE:DESTINATION:OPTION,... with absolute paths")
    return source, destination, words


def rate(entry: str) -> tuple[str, int]:
    """DEVICE NUMBER, as in "/dev/sda 10M"."""
    device, _, number = entry.partition(" ")
    found = _NUMBER.fullmatch(number)
    if not _is_clean(device) or not found:
        raise ValueError("must be DEVICE NUMBER, as in /dev/sda 10M")
    return device, int(found["digits"]) * 1000 ** " KMG".index(found["unit"] or " ")


def umask(entry: str) -> int:
    """Up to four octal digits."""
    if not re.fullmatch("0?[0-7]{1,3}", entry):
        raise ValueError("must be octal digits in quotes, as in '0022'")
    return int(entry, 8)


def zone(entry: str) -> str:
    """The file of a time zone: "" for none, /etc/localtime for the host's own (see tzset(3))."""
    if entry in ("", LOCAL):
        return "/etc/localtime" if entry else ""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", entry):
        raise ValueError("must be the name of a zone, as in Europe/Berlin, or Local")
    return f"/usr/share/zoneinfo/{entry}"


def _is_clean(path: str) -> bool:
    return path.startswith("/") and path != "/" and os.path.normpath(path) == path and "\0" not in path
