"""The real skopeo asks the policy: about an image at its registry, without fetching a layer of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from criserver.drivers.images.manifests import Manifest, parse_manifest
from criserver.drivers.images.registry import Session
from criserver.drivers.images.skopeo import Skopeo, SkopeoSettings
from criserver.errors import PermissionDenied
from tests.support.images import Document, file, image
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


async def verify(directory: Path, conf: Path, policy: object, document: Document) -> None:
    (directory / "policy.json").write_text(json.dumps(policy))
    (directory / "auth.json").write_text("{}")
    skopeo = Skopeo(SkopeoSettings(registries_conf=str(conf), policy=str(directory / "policy.json")))
    session = Session(skopeo, "", str(directory), str(directory / "auth.json"))
    manifest = parse_manifest(document.content)
    assert isinstance(manifest, Manifest)
    await session.verify(f"docker://registry.k8s.io/policed@{document.digest}", manifest)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none", "docker"])
async def test_one_that_is_accepted_costs_no_layer(
    tmp_path: Path, registry: Registry, registries_conf: Path, kind: str
) -> None:
    docker = kind == "docker"
    tree = {kind: file("x" * 10_000)}
    document = image(tree, tree, compression="gzip" if docker else kind, docker=docker)
    registry.push("policed", document, "1")
    before = registry.requests("GET /v2/policed/blobs") or registry.requests("/v2/policed/blobs")
    scopes = {"docker": {"registry.k8s.io/policed": ACCEPT}}
    await verify(tmp_path, registries_conf, {"default": REJECT, "transports": scopes}, document)
    for layer in list(document.blobs)[1:]:
        assert registry.requests(layer) <= before + 1
    scopes = {"docker": {"registry.k8s.io/policed": REJECT}}
    with pytest.raises(PermissionDenied, match="rejected by policy"):
        await verify(tmp_path, registries_conf, {"default": ACCEPT, "transports": scopes}, document)


async def test_nobody_is_asked_when_nothing_can_be_refused(tmp_path: Path, registries_conf: Path) -> None:
    await verify(tmp_path, registries_conf, {"default": ACCEPT}, image({"never": file("pushed")}))
    assert not (tmp_path / "blobs").exists()
