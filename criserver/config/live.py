"""The configuration in force while the server runs, and what becomes of it when its files have changed.

A reload takes the files as a whole or not at all. Keys that the schema marks as live are asked for at each use, so they
hold from the next request on; the others are compared, and named as waiting for a restart. Of a handler, or any other
section in a mapping, the live keys are taken up while it is there; that it comes or goes waits. Knows no signals or
sockets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from criserver.config.schema import Config


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value in the files is not the one in force."""

    key: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload did: `applied` holds from now on, `waiting` from the next start."""

    applied: tuple[Change, ...] = ()
    waiting: tuple[Change, ...] = ()

    def lines(self) -> list[str]:
        """For people, a line per change; one line that says so when there is none."""
        told = [f"{each.key}: {each.old!r} → {each.new!r}" for each in self.applied]
        told += [f"{each.key}: {each.old!r} → {each.new!r} after a restart" for each in self.waiting]
        return told or ["nothing changed"]


class Live:
    """The configuration in force. One per server."""

    def __init__(self, source: Callable[[], Config]) -> None:
        """`source` reads files and flags anew; ConfigError says what is wrong with them."""
        self._source = source
        self._current = source()

    @property
    def current(self) -> Config:
        """The configuration in force. For a live key ask again at each use."""
        return self._current

    def reload(self, prepare: Callable[[Config], None] = lambda _: None) -> Changes:
        """Read the files again and take up what can be; ConfigError when they are wrong, and then nothing changes.

        `prepare` gets what will be in force, and may find it wrong too.
        """
        old, new = self._current, self._source()
        taken: Config = _take(old, new)
        prepare(taken)
        self._current = taken
        return Changes(tuple(_differences(old, taken)), tuple(_differences(taken, new)))


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[Change]:
    for key, before, after in _pairs(old, new):
        if _has_keys(before) and _has_keys(after):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield Change(prefix + key, before, after)


def _has_keys(value: object) -> bool:
    return isinstance(value, dict) or dataclasses.is_dataclass(value)


def _pairs(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict):
        for key in dict.fromkeys([*old, *new]):
            yield key, old.get(key), new.get(key)
    else:
        for field in dataclasses.fields(old):
            yield field.name, getattr(old, field.name), getattr(new, field.name)


def _take(old: Any, new: Any) -> Any:
    """`old` with the live keys of `new`."""
    taken = {}
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.metadata.get("live"):
            taken[field.name] = after
        elif dataclasses.is_dataclass(before):
            taken[field.name] = _take(before, after)
        elif isinstance(before, dict):
            taken[field.name] = {name: _take(each, after.get(name, each)) for name, each in before.items()}
    return dataclasses.replace(old, **taken)
