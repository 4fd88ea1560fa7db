"""Documents from registries: read when they are plain, refused when they are odd, huge or two things at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.drivers.images.manifests import (
    DOCUMENT_LIMIT,
    LAYER_LIMIT,
    Index,
    Manifest,
    check_digest,
    digest_of,
    parse_config,
    parse_manifest,
)
from criserver.errors import CriError, DataLoss, InvalidArgument, ResourceExhausted

DIGEST = "sha256:" + "a" * 64
DESCRIPTOR = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 3}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "manifests": [DESCRIPTOR]}


def dump(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_manifest() -> None:
    manifest = parse_manifest(dump(MANIFEST | {"annotations": {"a": "b"}, "unknown": 1}))
    assert isinstance(manifest, Manifest)
    assert (manifest.config.digest, len(manifest.layers), manifest.annotations) == (DIGEST, 1, {"a": "b"})


def test_an_index() -> None:
    index = parse_manifest(dump(INDEX))
    assert isinstance(index, Index)
    assert [each.digest for each in index.manifests] == [DIGEST]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (MANIFEST | INDEX, "ambiguous"),
        ({"schemaVersion": 2, "config": DESCRIPTOR, "manifests": []}, "ambiguous"),
        (MANIFEST | {"mediaType": "application/vnd.oci.image.index.v1+json"}, "ambiguous"),
        (INDEX | {"mediaType": "application/vnd.oci.image.manifest.v1+json"}, "ambiguous"),
        ({"schemaVersion": 1, "fsLayers": [], "history": []}, "schema 1"),
        (MANIFEST | {"fsLayers": []}, "schema 1"),
        ({"schemaVersion": 2}, "no image"),
        ([], "cannot be read"),
        ("text", "cannot be read"),
        (MANIFEST | {"layers": "x"}, "layers"),
        (MANIFEST | {"layers": [{"digest": "sha256:../../etc/passwd", "size": 1}]}, "no digest"),
        (MANIFEST | {"layers": [{"digest": DIGEST.upper(), "size": 1}]}, "no digest"),
        (MANIFEST | {"config": {"digest": "sha256:" + "a" * 63, "size": 1}}, "no digest"),
        (MANIFEST | {"layers": [{"digest": DIGEST, "size": -1}]}, "size"),
        (INDEX | {"manifests": [{"digest": "x", "size": 1}]}, "no digest"),
        (MANIFEST | {"layers": [DESCRIPTOR | {"mediaType": "a.rootfs.foreign.diff.tar.gzip"}]}, "not supported"),
    ],
)
def test_refused(document: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        parse_manifest(dump(document))


def test_bounds() -> None:
    with pytest.raises(ResourceExhausted, match="bytes"):
        parse_manifest(b"[" + b" " * DOCUMENT_LIMIT + b"]")
    with pytest.raises(ResourceExhausted, match="layers"):
        parse_manifest(dump(MANIFEST | {"layers": [DESCRIPTOR] * (LAYER_LIMIT + 1)}))
    with pytest.raises(ResourceExhausted, match="config"):
        parse_manifest(dump(MANIFEST | {"config": DESCRIPTOR | {"size": DOCUMENT_LIMIT + 1}}))
    with pytest.raises(InvalidArgument):
        parse_manifest(b"[" * 100_000)


def with_config(document: object) -> tuple[bytes, Manifest]:
    data = dump(document)
    manifest = parse_manifest(dump(MANIFEST | {"config": {"digest": digest_of(data), "size": len(data)}}))
    assert isinstance(manifest, Manifest)
    return data, manifest


def test_a_config() -> None:
    process: dict[str, Any] = {
        "User": "1000",
        "Env": ["A=b"],
        "Entrypoint": None,
        "Cmd": ["c"],
        "WorkingDir": "/w",
        "StopSignal": "SIGINT",
        "Volumes": {"/b": {}, "/a": {}},
        "Labels": {"l": "m"},
        "ExposedPorts": {"80/tcp": {}},
    }
    config = parse_config(
        *with_config({"architecture": "amd64", "config": process, "rootfs": {"type": "layers", "diff_ids": [DIGEST]}})
    )
    defaults = config.defaults
    assert (defaults.user, defaults.env, defaults.entrypoint, defaults.cmd) == ("1000", ("A=b",), (), ("c",))
    assert (defaults.working_dir, defaults.stop_signal, defaults.volumes) == ("/w", "SIGINT", ("/a", "/b"))
    assert (defaults.labels, config.diff_ids) == ({"l": "m"}, (DIGEST,))


def test_a_config_without_a_process_part() -> None:
    config = parse_config(*with_config({"config": None, "rootfs": {"type": "layers", "diff_ids": [DIGEST]}}))
    assert config.defaults.cmd == ()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "0 layers, its manifest 1"),
        ({"rootfs": {"type": "layers", "diff_ids": ["../x"]}}, "no digest"),
        ({"rootfs": {"type": "layers", "diff_ids": [DIGEST]}, "config": {"Env": "x"}}, "Env"),
        ({}, "rootfs"),
    ],
)
def test_configs_refused(document: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        parse_config(*with_config(document))


def test_a_config_that_is_another() -> None:
    data, manifest = with_config({"rootfs": {"type": "layers", "diff_ids": [DIGEST]}})
    with pytest.raises(DataLoss, match="config of x has digest"):
        parse_config(data + b" ", manifest, "config of x")


def test_digests_of_any_algorithm() -> None:
    check_digest(b"x", digest_of(b"x", "sha512:"), "x")
    with pytest.raises(DataLoss):
        check_digest(b"y", digest_of(b"x", "sha512:"), "x")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["config", "layers", "manifests", "digest", "size", "mediaType", "schemaVersion"]),
                inner,
            )
            | st.lists(inner)
        ),
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    try:
        parse_manifest(dump(document))
    except CriError:
        return
