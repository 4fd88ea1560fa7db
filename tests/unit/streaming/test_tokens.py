from __future__ import annotations

import pytest

from criserver.errors import ResourceExhausted
from criserver.streaming.tokens import Tokens


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_good_once() -> None:
    tokens: Tokens[str] = Tokens(Clock())
    one, two = tokens.mint("one"), tokens.mint("two")
    assert len(one) >= 43
    assert one != two
    assert tokens.take(one) == "one"
    assert tokens.take(one) is None
    assert tokens.take("guessed") is None
    assert tokens.take(two) == "two"


def test_a_token_expires() -> None:
    clock = Clock()
    tokens: Tokens[str] = Tokens(clock, lifetime=60)
    token = tokens.mint("x")
    clock.now = 59.9
    late = tokens.mint("y")
    clock.now = 60.0
    assert tokens.take(token) is None
    assert tokens.take(late) == "y"


def test_tokens_are_bounded() -> None:
    clock = Clock()
    tokens: Tokens[int] = Tokens(clock, limit=3)
    held = [tokens.mint(number) for number in range(3)]
    with pytest.raises(ResourceExhausted, match="3 streaming URLs"):
        tokens.mint(3)
    assert tokens.take(held[0]) == 0
    tokens.mint(3)
    clock.now = 61
    assert tokens.take(tokens.mint(4)) == 4
