"""Which pod, container or request the running code works for; every log line carries it.

A context variable: a task that is started inside `log_context` inherits the names, and no function passes them on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_fields: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never changed in place


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add `fields` to every log line of the block: pod="namespace/name", container="name", sandbox_id="…", rpc="…".

    Blocks nest: an inner field of the same name wins, an empty value says nothing and is left out.
    """
    token = _fields.set({**_fields.get(), **{name: value for name, value in fields.items() if value}})
    try:
        yield
    finally:
        _fields.reset(token)


def current() -> Mapping[str, str]:
    """The fields in force here, in the order in which they were added."""
    return _fields.get()
