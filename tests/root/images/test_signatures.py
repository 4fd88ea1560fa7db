"""Images that somebody really signed, against policies that ask for it: accepted, refused, and under which names."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from criserver.errors import PermissionDenied, SignatureRejected
from tests.support import signatures
from tests.support.image_service import node
from tests.support.images import ARCHITECTURE, Document, file, image, index
from tests.support.registry import Registry
from tests.support.signatures import Signer

pytest_plugins = ("tests.support.image_fixtures",)
pytestmark = pytest.mark.skipif(bool(signatures.missing()), reason=signatures.missing())

REPOSITORY = "registry.k8s.io/signed"
REJECT = [{"type": "reject"}]


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    with tempfile.TemporaryDirectory() as directory:
        somebody = signatures.signer(Path(directory) / "a")
        yield somebody
        somebody.close()


@pytest.fixture(scope="module")
def stranger() -> Iterator[Signer]:
    with tempfile.TemporaryDirectory() as directory:
        somebody = signatures.signer(Path(directory) / "b")
        yield somebody
        somebody.close()


class House:
    """A node under a policy."""

    def __init__(self, root: Path, conf: Path, signer: Signer) -> None:
        self.root, self.conf, self.signer = root, conf, signer
        self.path = root.with_name("policy.json")

    def policy(self, *requirements: Any, scope: str = REPOSITORY) -> None:
        """Want these of one scope, and nothing of anybody else."""
        scopes = {"docker": {scope: list(requirements)}}
        self.path.write_text(json.dumps({"default": REJECT, "transports": scopes}))

    async def pull(self, name: str) -> None:
        """Pull it, and look that it may run under that name, and by its id."""
        async with node(self.root, self.conf, policy=self.path, registries_d=self.signer.registries_d) as server:
            try:
                pulled = await server.images.pull(name)
            except PermissionDenied:
                assert server.images.resolve(name) is None
                raise
            for asked in (name, pulled.id):
                await server.images.admit(pulled, asked)

    async def may(self, name: str, asked: str) -> bool:
        """Whether the image called `name` here may run as `asked`."""
        async with node(self.root, self.conf, policy=self.path) as server:
            found = server.images.resolve(name)
            assert found is not None
            try:
                await server.images.admit(found, asked)
            except PermissionDenied as error:
                assert str(error).startswith("SignatureValidationFailed: ")
                return False
            return True


@pytest.fixture
def house(tmp_path: Path, registries_conf: Path, signer: Signer) -> House:
    return House(tmp_path / "root", registries_conf, signer)


def pushed(registry: Registry, *tags: str, content: str = "x", docker: bool = False) -> Document:
    document = image({"a": file(content)}, {"b": file(content)}, docker=docker)
    registry.push("signed", document, *tags)
    return document


@pytest.mark.parametrize("docker", [False, True])
async def test_signed_with_the_key_that_is_asked_for(house: House, registry: Registry, *, docker: bool) -> None:
    tag = f"{REPOSITORY}:docker-{docker}"
    house.policy(house.signer.requirement)
    document = pushed(registry, f"docker-{docker}", content=f"{docker}", docker=docker)
    with pytest.raises(SignatureRejected, match="signature was required, but no signature exists"):
        await house.pull(tag)
    house.signer.sign(document, tag)
    await house.pull(tag)
    assert await house.may(tag, f"{REPOSITORY}@{document.digest}")
    await house.pull(f"{REPOSITORY}@{document.digest}")


async def test_a_list_whose_image_is_signed(house: House, registry: Registry) -> None:
    house.policy(house.signer.requirement)
    mine, other = image({"a": file("mine")}), image({"a": file("other")}, architecture="s390x")
    registry.push("signed", index({ARCHITECTURE: mine, "s390x": other}), "list")
    with pytest.raises(SignatureRejected):
        await house.pull(f"{REPOSITORY}:list")
    house.signer.sign(mine, f"{REPOSITORY}:list")
    await house.pull(f"{REPOSITORY}:list")


async def test_a_key_that_nobody_asked_for(house: House, registry: Registry, stranger: Signer) -> None:
    document = pushed(registry, "strange", content="strange")
    house.policy(stranger.requirement)
    house.signer.sign(document, f"{REPOSITORY}:strange")
    with pytest.raises(SignatureRejected, match="(?i)signature"):
        await house.pull(f"{REPOSITORY}:strange")
    house.policy(house.signer.requirement)
    await house.pull(f"{REPOSITORY}:strange")
    house.policy(stranger.requirement)
    assert not await house.may(f"{REPOSITORY}:strange", f"{REPOSITORY}:strange"), "another key is asked for by now"


async def test_what_was_signed_under_another_tag(house: House, registry: Registry) -> None:
    """A registry that answers with an old image, which was signed when it was new, is not believed."""
    document = pushed(registry, "old", "new", content="old")
    house.signer.sign(document, f"{REPOSITORY}:old")
    house.policy(house.signer.requirement)
    with pytest.raises(SignatureRejected, match="ignature"):
        await house.pull(f"{REPOSITORY}:new")
    await house.pull(f"{REPOSITORY}:old")
    with pytest.raises(SignatureRejected, match="ignature"):
        await house.pull(f"{REPOSITORY}:new")
    house.policy({**house.signer.requirement, "signedIdentity": {"type": "matchRepository"}})
    await house.pull(f"{REPOSITORY}:new")


async def test_signed_where_it_was_mirrored_from(house: House, registry: Registry) -> None:
    document = pushed(registry, "moved", content="moved")
    house.signer.sign(document, "origin.example/team/signed:moved")
    where = house.signer.directory / "lookaside" / "team"
    (where / f"signed@{document.digest.replace(':', '=')}").rename(
        house.signer.directory / "lookaside" / f"signed@{document.digest.replace(':', '=')}"
    )
    identity = {"type": "remapIdentity", "prefix": "registry.k8s.io", "signedPrefix": "origin.example/team"}
    house.policy({**house.signer.requirement, "signedIdentity": identity})
    await house.pull(f"{REPOSITORY}:moved")


@pytest.mark.parametrize("scope", [f"{REPOSITORY}:alone", REPOSITORY])
async def test_a_scope_of_one_tag_alone(house: House, registry: Registry, scope: str) -> None:
    document = pushed(registry, "alone", content="alone")
    house.signer.sign(document, f"{REPOSITORY}:alone")
    house.policy(house.signer.requirement, scope=scope)
    await house.pull(f"{REPOSITORY}:alone")
    by_digest = f"{REPOSITORY}@{document.digest}"
    assert await house.may(by_digest, by_digest) is (scope == REPOSITORY), "everything but the tag is rejected"


async def test_sigstore(house: House, registry: Registry, stranger: Signer) -> None:
    document, name = pushed(registry, "cosign", content="cosign"), f"{REPOSITORY}:cosign"
    house.policy(house.signer.sigstore_requirement)
    with pytest.raises(SignatureRejected, match="ignature"):
        await house.pull(name)
    stranger.attach(document, REPOSITORY, registry, "signed")
    with pytest.raises(SignatureRejected) as refusal:
        await house.pull(name)
    if "sigstore disabled" in str(refusal.value):  # Debian 12's has every such image refused.
        pytest.skip("this skopeo was built without sigstore")
    house.signer.attach(document, REPOSITORY, registry, "signed")
    await house.pull(name)
    assert await house.may(name, f"{REPOSITORY}@{document.digest}")


async def test_every_signature_that_is_wanted(house: House, registry: Registry, stranger: Signer) -> None:
    document, name = pushed(registry, "both", content="both"), f"{REPOSITORY}:both"
    house.policy(house.signer.requirement, stranger.requirement)
    house.signer.sign(document, name)
    with pytest.raises(SignatureRejected, match="ignature"):
        await house.pull(name)
    where = f"lookaside/signed@{document.digest.replace(':', '=')}"
    stranger.sign(document, name)
    (stranger.directory / where / "signature-1").rename(house.signer.directory / where / "signature-2")
    await house.pull(name)
