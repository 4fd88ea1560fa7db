"""Only a policy that refuses nothing at all is waved through."""

from __future__ import annotations

import pytest

from criserver.drivers.images.policy import accepts_anything

ANY = '[{"type": "insecureAcceptAnything"}]'
REJECT = '[{"type": "reject"}]'


@pytest.mark.parametrize(
    "policy",
    [
        f'{{"default": {ANY}}}',
        f'{{"default": {ANY}, "transports": {{"docker-daemon": {{"": {ANY}}}, "docker": {{}}}}}}',
    ],
)
def test_everything_is_accepted(policy: str) -> None:
    assert accepts_anything(policy.encode())


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "[]",
        "{}",
        "not json",
        "[" * 100_000,
        f'{{"default": {REJECT}}}',
        '{"default": []}',
        '{"default": [{"type": "insecureAcceptAnything", "more": 1}]}',
        f'{{"default": {ANY}, "transports": {{"docker": {{"reg.example/a": {REJECT}}}}}}}',
        f'{{"default": {ANY}, "transports": {{"docker": {ANY}}}}}',
        f'{{"default": {ANY}, "transports": []}}',
        f'{{"default": {ANY}, "unknown": {{}}}}',
        '{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]}',
    ],
)
def test_whatever_else_it_says_somebody_must_be_asked(policy: str) -> None:
    assert not accepts_anything(policy.encode())
