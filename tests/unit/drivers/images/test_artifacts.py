"""What is an artifact, and under which names its files are."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest

from criserver.drivers.images.artifacts import artifact_type, file_name, identity, tree_digest
from criserver.drivers.images.described import described
from criserver.drivers.images.manifests import Descriptor, Manifest, parse_manifest
from criserver.errors import DataLoss, InvalidArgument
from tests.support.images import DOCKER_CONFIG, OCI_CONFIG, Document, artifact, digest, file, image

TITLE = "org.opencontainers.image.title"


def manifest(document: Document, **config: Any) -> Manifest:
    content = json.loads(document.content)
    content["config"] |= config
    found = parse_manifest(json.dumps(content).encode())
    assert isinstance(found, Manifest)
    return found


def test_the_type_of_the_config_tells_what_it_is() -> None:
    model = artifact({"a": b"a"}, "application/vnd.test.model")
    assert artifact_type(manifest(model)) == "application/vnd.test.model"
    assert artifact_type(manifest(image({"a": file("a")}))) == ""
    assert artifact_type(manifest(image({"a": file("a")}, docker=True))) == ""
    for kind in (OCI_CONFIG, DOCKER_CONFIG, ""):
        assert artifact_type(manifest(model, mediaType=kind)) == "", "whatever artifactType says"
    kind = "application/vnd.cncf.helm.config.v1+json"
    assert artifact_type(manifest(image({"a": file("a")}), mediaType=kind)) == kind


def test_artifacts_share_a_config_and_so_have_their_manifests_digest_for_id() -> None:
    one, two = artifact({"a": b"a"}), artifact({"a": b"b"})
    assert identity(manifest(one), one.content) == one.digest != identity(manifest(two), two.content)
    plain = image({"a": file("a")})
    assert identity(manifest(plain), plain.content) == manifest(plain).config.digest


def named(**annotations: str) -> str:
    return file_name(Descriptor(digest(b"x"), 1, annotations=annotations))


def test_names_of_files() -> None:
    assert named(**{TITLE: "weights.bin"}) == "weights.bin"
    assert named(**{TITLE: "./a/b c/Ω"}) == "a/b c/Ω"
    assert named(**{TITLE: "t", "org.cncf.model.filepath": "m"}) == "t"
    assert named(**{TITLE: "", "org.cncf.model.filepath": "m"}) == "m"
    assert named(**{"org.cnai.model.filepath": "n"}) == "n"
    assert named() == digest(b"x").replace(":", "-")


@pytest.mark.parametrize(
    "name", ["..", "a/../b", "/etc/passwd", "a//b", "a/", ".", "a\0b", "x" * 256, "x/" * 600 + "x"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot be the name of a file"):
        named(**{TITLE: name})


def test_the_same_bytes_under_another_name_are_another_tree() -> None:
    layer = Descriptor(digest(b"x"), 1)
    assert len({tree_digest(layer, "a"), tree_digest(layer, "b"), tree_digest(Descriptor(digest(b"y"), 1), "a")}) == 3


def test_an_artifact_is_described_without_its_config() -> None:
    document = artifact({"a": b"a", "b/c": b"c"})
    found = described(document.content, manifest(document), b"{}", "x", lambda _: nullcontext)  # type: ignore[arg-type, return-value]
    assert (found.id, found.artifact, found.config) == (document.digest, "application/vnd.test.model", b"")
    assert [(layer.file, layer.digest) for layer in found.layers] == [("a", digest(b"a")), ("b/c", digest(b"c"))]
    with pytest.raises(DataLoss, match="config of x has digest"):
        described(document.content, manifest(document), b"{ }", "x", lambda _: nullcontext)  # type: ignore[arg-type, return-value]
