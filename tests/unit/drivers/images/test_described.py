"""Manifest and config make an image, or do not belong together."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from criserver.drivers.images.described import described
from criserver.drivers.images.manifests import Manifest, parse_manifest
from criserver.errors import DataLoss, FailedPrecondition
from tests.support.images import digest, file, image, tar


def test_layers_know_what_they_are_and_where_they_come_from() -> None:
    document = image({"a": file("a")}, {"b": file("b")}, config={"Cmd": ["x"]}, annotations={"k": "v"})
    manifest = parse_manifest(document.content)
    assert isinstance(manifest, Manifest)
    asked: list[str] = []

    def opener(layer: Any) -> Any:
        asked.append(layer.digest)
        return nullcontext

    found = described(document.content, manifest, document.blobs[manifest.config.digest], "x", opener)
    assert (found.id, found.defaults.cmd, found.annotations) == (manifest.config.digest, ("x",), {"k": "v"})
    assert [layer.digest for layer in found.layers] == [layer.digest for layer in manifest.layers] == asked
    assert [layer.diff_id for layer in found.layers] == [digest(tar({name: file(name)})) for name in "ab"]
    assert [layer.size for layer in found.layers] == [len(document.blobs[name]) for name in asked]
    with pytest.raises(DataLoss, match="config of x has digest"):
        described(document.content, manifest, b"{}", "x", opener)


def test_an_encrypted_layer_is_named() -> None:
    document = image({"a": file("a")})
    content = document.content.replace(b"tar+gzip", b"tar+gzip+encrypted")
    manifest = parse_manifest(content)
    assert isinstance(manifest, Manifest)
    words = rf"x: layer {manifest.layers[0].digest} is encrypted \(application/vnd.*\+encrypted\)"
    with pytest.raises(FailedPrecondition, match=words):
        described(content, manifest, document.blobs[manifest.config.digest], "x", lambda _: nullcontext)  # type: ignore[arg-type, return-value]
