"""The real skopeo asks the policy: about an image at its registry, without fetching a layer of it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from criserver.drivers.images.manifests import Manifest, parse_manifest
from criserver.drivers.images.registry import Session
from criserver.drivers.images.skopeo import Skopeo, SkopeoSettings
from criserver.errors import PermissionDenied
from criserver.model.reference import parse_reference
from tests.support import signatures
from tests.support.images import Document, file, image
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


async def verify(directory: Path, settings: SkopeoSettings, policy: object, document: Document) -> None:
    (directory / "policy.json").write_text(json.dumps(policy))
    (directory / "auth.json").write_text("{}")
    skopeo = Skopeo(replace(settings, policy=str(directory / "policy.json")))
    session = Session(skopeo, "", str(directory), str(directory / "auth.json"))
    manifest = parse_manifest(document.content)
    assert isinstance(manifest, Manifest)
    reference = parse_reference("registry.k8s.io/policed:1")
    await session.verify(reference, reference.with_digest(document.digest), manifest)


@pytest.mark.skipif(bool(signatures.missing()), reason=signatures.missing())
@pytest.mark.parametrize("kind", ["gzip", "zstd", "none", "docker"])
async def test_one_that_is_accepted_costs_no_layer(
    tmp_path: Path, registry: Registry, registries_conf: Path, kind: str
) -> None:
    docker = kind == "docker"
    tree = {kind: file("x" * 10_000)}
    document = image(tree, tree, compression="gzip" if docker else kind, docker=docker)
    registry.push("policed", document, "1")
    with tempfile.TemporaryDirectory() as directory:
        signer = signatures.signer(Path(directory) / "a")
        signer.sign(document, "registry.k8s.io/policed:1")
        settings = SkopeoSettings(registries_conf=str(registries_conf), registries_d=str(signer.registries_d))
        before = [registry.requests(layer) for layer in list(document.blobs)[1:]]
        policy = {"default": REJECT, "transports": {"docker": {"registry.k8s.io/policed": [signer.requirement]}}}
        await verify(tmp_path, settings, policy, document)
        assert [registry.requests(layer) for layer in list(document.blobs)[1:]] == before
        signer.close()
    policy = {"default": ACCEPT, "transports": {"docker": {"registry.k8s.io/policed": REJECT}}}
    with pytest.raises(PermissionDenied, match="rejected by policy"):
        await verify(tmp_path, settings, policy, document)


async def test_nobody_is_asked_when_nothing_can_be_refused(tmp_path: Path, registries_conf: Path) -> None:
    settings, never = SkopeoSettings(registries_conf=str(registries_conf)), image({"never": file("pushed")})
    await verify(tmp_path, settings, {"default": ACCEPT}, never)
    assert not (tmp_path / "blobs").exists()
