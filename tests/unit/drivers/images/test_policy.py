"""policy.json: which scope counts, and what its requirements mean for a tag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from criserver.drivers.images.policy import accepts_anything, bound, for_one, parsed, scopes
from criserver.errors import FailedPrecondition
from criserver.model.reference import parse_reference

ANY, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
DIGEST = "sha256:" + "f" * 64


def policy(default: Any = ANY, **docker: Any) -> bytes:
    return json.dumps({"default": default, "transports": {"docker": docker}}).encode()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "busybox",
            ["docker.io/library/busybox:latest", "docker.io/library/busybox", "docker.io/library", "docker.io", "*.io"],
        ),
        (
            f"a.b.example:5000/x/y:1@{DIGEST}",
            [
                f"a.b.example:5000/x/y@{DIGEST}", "a.b.example:5000/x/y", "a.b.example:5000/x", "a.b.example:5000",
                "*.b.example", "*.example",
            ],
        ),
        ("localhost/x", ["localhost/x:latest", "localhost/x", "localhost"]),
    ],
)  # fmt: skip
def test_scopes_as_containers_image_orders_them(reference: str, expected: list[str]) -> None:
    assert list(scopes(parse_reference(reference))) == [*expected, ""]


def test_the_narrowest_scope_counts_and_then_the_default() -> None:
    content = policy(REJECT, **{"docker.io": REJECT, "docker.io/library/busybox": ANY, "*.example": ANY})
    for name, rejected in (("busybox", False), ("nginx", True), ("a.example/x", False), ("quay.io/x", True)):
        scope, requirements = parsed(content, "/p", parse_reference(name))
        assert (requirements == REJECT) is rejected, scope
    whole = policy(REJECT, **{"": ANY})
    assert parsed(whole, "/p", parse_reference("x")) == ("scope '' of docker", ANY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"default": [{"type": "reject"}], "transport": {}}', "unknown key 'transport'"),
        (b'{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}', "there twice"),
        (policy(**{"other.example": []}), "at least one object"),
        (policy(**{"other.example": {}}), "at least one object"),
        (b'{"default": [{"type": "reject"}], "transports": {"atomic": []}}', "no signature policy"),
    ],
)
def test_what_containers_image_would_refuse_is_refused_whatever_is_asked(content: bytes, words: str) -> None:
    with pytest.raises(FailedPrecondition, match=words):
        parsed(content, "/p", parse_reference("x"))


def test_only_what_requires_nothing_at_all_is_waved_through() -> None:
    assert accepts_anything(ANY)
    assert accepts_anything(ANY * 2)
    others: tuple[list[Any], ...] = (REJECT, [*ANY, *REJECT], [{**ANY[0], "more": 1}], [{}])
    for requirements in others:
        assert not accepts_anything(requirements)


def identity(name: str, given: Any, kind: str = "signedBy") -> Any:
    """What `given` has become for a name."""
    requirement = {"type": kind, "keyPath": "/k"} | ({"signedIdentity": given} if given else {})
    (found,) = bound([requirement], parse_reference(name))
    assert {key: found[key] for key in ("type", "keyPath")} == {"type": kind, "keyPath": "/k"}
    return found.get("signedIdentity")


def exactly(name: str) -> dict[str, str]:
    return {"type": "exactReference", "dockerReference": name}


def test_a_tag_is_written_down_where_its_name_must_have_been_signed() -> None:
    by_name: tuple[Any, ...] = (None, {"type": "matchExact"}, {"type": "matchRepoDigestOrExact"})
    others: tuple[Any, ...] = ({"type": "matchRepository"}, exactly("b.example/x:2"), {"type": "unheard-of"}, "none")
    for given in by_name:
        for kind in ("signedBy", "sigstoreSigned"):
            assert identity("a.example/app:1", given, kind) == exactly("a.example/app:1")
        assert identity(f"a.example/app@{DIGEST}", given) == given
    for given in others:
        assert identity("a.example/app:1", given) == given
    assert bound(REJECT, parse_reference("a.example/app:1")) == REJECT


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a.example", "b.example/c/team/app:1"),
        ("a.example/team", "b.example/c/app:1"),
        ("a.example/team/app", "b.example/c:1"),
        ("a.example/te", "a.example/team/app:1"),
        ("other.example", "a.example/team/app:1"),
    ],
)
def test_a_name_that_was_another_when_it_was_signed(prefix: str, expected: str) -> None:
    given = {"type": "remapIdentity", "prefix": prefix, "signedPrefix": "b.example/c"}
    assert identity("a.example/team/app:1", given) == exactly(expected)
    assert identity(f"a.example/team/app@{DIGEST}", given) == given


def test_a_policy_of_one_name() -> None:
    name = f"a.example/app@{DIGEST}"
    content = for_one(name, REJECT + ANY)
    assert parsed(content, "/p", parse_reference(name))[1] == REJECT + ANY
    assert parsed(content, "/p", parse_reference("a.example/app:1")) == ("default", REJECT)
