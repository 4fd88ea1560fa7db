"""policy.json: which scope counts, what is refused, and when a demand is another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.images.admission import PolicyAdmission, parsed, scopes
from criserver.errors import FailedPrecondition, PermissionDenied
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


async def demand(path: Path, content: bytes, name: str = "a.example/app:1") -> str:
    (path / "policy.json").write_bytes(content)
    return await PolicyAdmission(str(path / "policy.json")).demand(parse_reference(name))


async def test_accepted_and_rejected(tmp_path: Path) -> None:
    assert await demand(tmp_path, policy()) == ""
    with pytest.raises(PermissionDenied, match=r"^SignatureValidationFailed: .*rejected by .*/policy.json, default"):
        await demand(tmp_path, policy(REJECT))
    with pytest.raises(PermissionDenied, match=r"scope 'a.example' of docker"):
        await demand(tmp_path, policy(**{"a.example": [{"type": "signedBy"}, *REJECT]}))


async def test_a_demand_changes_with_its_keys_and_no_more(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text("one")
    signed = [{"type": "sigstoreSigned", "keyPath": str(key), "signedIdentity": {"type": "matchRepository"}}]
    first = await demand(tmp_path, policy(**{"a.example": signed}))
    assert first.startswith("sha256:")
    assert await demand(tmp_path, policy(REJECT, **{"a.example/app": signed})) == first
    key.write_text("two")
    second = await demand(tmp_path, policy(**{"a.example": signed}))
    many = [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": [str(key)]}]
    fulcio = [{"type": "sigstoreSigned", "fulcio": {"caPath": str(key), "oidcIssuer": "i"}, "rekorPublicKeyData": "e"}]
    others = {await demand(tmp_path, policy(default)) for default in (many, fulcio)}
    assert len({first, second, *others}) == 4
    key.unlink()
    with pytest.raises(FailedPrecondition, match="names a file that cannot be read"):
        await demand(tmp_path, policy(**{"a.example": signed}))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"no json", b"[" * 100_000, b'{"default": []}', b'{"default": [1]}', b'{"default": {}}',
        b'{"default": [{}], "transports": 1}', b'{"transports": {"docker": {}}}',
    ],
)  # fmt: skip
async def test_what_is_no_policy(tmp_path: Path, content: bytes) -> None:
    if content == b'{"default": [{}], "transports": 1}':
        content = content.replace(b"1", b'{"docker": 1}')
    with pytest.raises(FailedPrecondition, match="is no signature policy"):
        await demand(tmp_path, content)


async def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedPrecondition, match="image.policy"):
        await PolicyAdmission(str(tmp_path / "none")).demand(parse_reference("x"))
    monkeypatch.setattr("criserver.drivers.images.admission.DEFAULT_PATH", str(tmp_path / "none"))
    assert await PolicyAdmission().demand(parse_reference("x")) == "", "then skopeo refuses every pull"
