"""Credentials become an auth file for the one registry that they are for."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from typing import Any

import pytest

from criserver.drivers.images.registry_auth import auth_document, namespaced_name
from criserver.errors import FailedPrecondition, InvalidArgument, Unimplemented
from criserver.model.image import Credentials


def document(credentials: Credentials | None, configured: bytes = b"", domain: str = "reg.example") -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(auth_document(domain, credentials, configured))
    return parsed


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_without_credentials_it_is_what_is_configured() -> None:
    assert document(None) == {}
    configured = {"auths": {"other": {"auth": encoded("a:b")}}, "credHelpers": {"x": "y"}}
    assert document(None, json.dumps(configured).encode()) == configured


def test_username_and_password() -> None:
    assert document(Credentials("joe", "p:w")) == {"auths": {"reg.example": {"auth": encoded("joe:p:w")}}}


def test_auth_field() -> None:
    assert document(Credentials(auth=encoded("joe:pw\0\0"))) == {"auths": {"reg.example": {"auth": encoded("joe:pw")}}}
    with pytest.raises(InvalidArgument, match="base64"):
        document(Credentials(auth=encoded("no colon")))
    with pytest.raises(InvalidArgument, match="base64"):
        document(Credentials(auth="*"))


def test_identity_token() -> None:
    entry = document(Credentials(identity_token="tok"))["auths"]["reg.example"]
    assert entry == {"auth": encoded("<token>:"), "identitytoken": "tok"}


def test_a_registry_token_alone_is_refused_by_its_name() -> None:
    with pytest.raises(Unimplemented, match=r"auth\.registry_token .* give it as auth\.password") as refusal:
        document(Credentials(registry_token="s3cret"))
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("other", [Credentials("joe", "pw"), Credentials(identity_token="tok")])
def test_beside_other_credentials_a_registry_token_does_not_matter(other: Credentials) -> None:
    assert document(dataclasses.replace(other, registry_token="s3cret")) == document(other)


@pytest.mark.parametrize(
    ("address", "domain", "used"),
    [
        ("", "reg.example", True),
        ("reg.example", "reg.example", True),
        ("https://reg.example/v1/", "reg.example", True),
        ("reg.example:5000", "reg.example:5000", True),
        ("reg.example:5000", "reg.example", False),
        ("*.example", "reg.example", True),
        ("https://index.docker.io/v1/", "docker.io", True),
        ("other.example", "reg.example", False),
        ("reg.example.evil", "reg.example", False),
    ],
)
def test_they_go_to_the_server_that_they_are_for(address: str, domain: str, *, used: bool) -> None:
    found = document(Credentials("joe", "pw", server_address=address), domain=domain)
    assert (domain in found.get("auths", {})) is used


def test_they_win_over_what_is_configured_and_keep_the_rest() -> None:
    configured = {
        "auths": {"reg.example": {"auth": "old"}, "mirror": {"auth": "m"}},
        "credHelpers": {"reg.example": "h"},
    }
    found = document(Credentials("joe", "pw"), json.dumps(configured).encode())
    assert found["auths"] == {"reg.example": {"auth": encoded("joe:pw")}, "mirror": {"auth": "m"}}
    assert found["credHelpers"] == {}


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_damaged_configured_file(content: bytes) -> None:
    with pytest.raises(FailedPrecondition, match="the configured file of credentials"):
        document(None, content)


def test_no_repr_shows_a_secret() -> None:
    assert "pw" not in repr(Credentials("joe", "pw", auth="pw", identity_token="pw"))


def test_the_file_of_a_namespace_is_named_as_cri_o_names_it() -> None:
    hashed = hashlib.sha256(b"registry.example/app").hexdigest()
    assert namespaced_name("team-1", "registry.example/app") == f"team-1-{hashed}.json"


@pytest.mark.parametrize("namespace", ["", "..", "a/b", "../etc", "A", "a" * 64, "a\n"])
def test_what_is_no_namespace_names_no_file(namespace: str) -> None:
    with pytest.raises(InvalidArgument, match="no namespace"):
        namespaced_name(namespace, "registry.example/app")
