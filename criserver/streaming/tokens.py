"""Tokens: what a URL carries instead of a password. Unguessable, good once, for a short time, and never too many."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Generic, TypeVar

from criserver.errors import ResourceExhausted

R = TypeVar("R")

LIFETIME = 60.0  # seconds
LIMIT = 1000
_BYTES = 32


class Tokens(Generic[R]):
    """The tokens that have been given out and not used, with what each is for, oldest first."""

    def __init__(self, clock: Callable[[], float], *, lifetime: float = LIFETIME, limit: int = LIMIT) -> None:
        """`clock` counts seconds and never goes back; `lifetime` is in seconds."""
        self._clock, self._lifetime, self._limit = clock, lifetime, limit
        self._held: dict[str, tuple[float, R]] = {}

    def mint(self, value: R) -> str:
        """A new token for `value`. ResourceExhausted when too many wait to be used."""
        self._expire()
        if len(self._held) >= self._limit:
            raise ResourceExhausted(f"{self._limit} streaming URLs wait for their clients; try again in a minute")
        token = secrets.token_urlsafe(_BYTES)
        self._held[token] = (self._clock() + self._lifetime, value)
        return token

    def take(self, token: str) -> R | None:
        """What the token is for, once; None when it is unknown, used or too old."""
        self._expire()
        held = self._held.pop(token, None)
        return held[1] if held else None

    def _expire(self) -> None:
        now = self._clock()
        while self._held:
            token = next(iter(self._held))
            if self._held[token][0] > now:
                return
            del self._held[token]
