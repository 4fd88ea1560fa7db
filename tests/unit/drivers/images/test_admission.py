"""policy.json: which scope counts, what is refused, and when a demand is another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.images.admission import PolicyAdmission
from criserver.errors import FailedPrecondition, PermissionDenied
from criserver.model.reference import parse_reference
from criserver.ports.admission import Demand

ANY, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
DIGEST = "sha256:" + "f" * 64


def policy(default: Any = ANY, **docker: Any) -> bytes:
    return json.dumps({"default": default, "transports": {"docker": docker}}).encode()


async def demanded(path: Path, content: bytes, name: str = "a.example/app:1") -> Demand:
    (path / "policy.json").write_bytes(content)
    return await PolicyAdmission(str(path / "policy.json")).demand(parse_reference(name))


async def demand(path: Path, content: bytes) -> str:
    return (await demanded(path, content)).mark


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


async def test_names_that_the_same_words_are_about(tmp_path: Path) -> None:
    signed = policy(**{"a.example": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": "eA=="}]})
    names = ("a.example/app:1", "a.example/app:2", f"a.example/app@{DIGEST}", f"a.example/other@{DIGEST}")
    demands = [await demanded(tmp_path, signed, name) for name in names]
    assert len({each.origin for each in demands}) == 1
    assert len({each.mark for each in demands}) == 3, "each tag has its own, digests share theirs"


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
    assert await PolicyAdmission().demand(parse_reference("x")) == Demand(), "then skopeo refuses every pull"
