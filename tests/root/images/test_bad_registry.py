"""A registry that misbehaves, against the real path of a pull: the right status and words, and nothing left.

Nor is a credential seen anywhere but at its registry.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver import errors
from criserver.drivers.images.layers import LayerLimits
from criserver.model.image import Credentials
from criserver.observe.metrics import Metrics
from tests.root.images.test_crash import none_left
from tests.support import bad_registry as bad
from tests.support.bad_registry import EXPECTED, PASSWORD, USER, BadRegistry
from tests.support.image_service import Node, node
from tests.support.images import Document, digest, file, image

DOCUMENT = image({"big": file(os.urandom(300_000))}, {"small": file("small")})
JOE = Credentials(USER, PASSWORD)


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with BadRegistry(DOCUMENT) as running:
        yield running


HANGS = 600
"""Seconds after which nothing will come any more, however busy the machine is."""


async def pull(
    registry: BadRegistry,
    root: Path,
    credentials: Credentials | None = JOE,
    *,
    metrics: Metrics | None = None,
    stalled: float = HANGS,
) -> None:
    """Pull, and whatever comes of it, look that nothing is left but what a whole image is."""
    conf = registry.registries_conf(root.with_name("registries.conf"))
    async with node(root, conf, limits=LayerLimits(stalled=stalled), metrics=metrics) as server:
        try:
            await asyncio.wait_for(server.images.pull(f"{registry.address}/app:1", credentials), HANGS)
        except errors.CriError as error:
            assert PASSWORD not in str(error)
            server.assert_empty()
            raise
        finally:
            assert server.workspaces() == set()
            assert await asyncio.to_thread(none_left, str(root))
            nowhere_on_disk(server)


def nowhere_on_disk(server: Node) -> None:
    for path in server.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert PASSWORD.encode() not in content
            assert EXPECTED.partition(" ")[2].encode() not in content


def listing(**changes: object) -> bytes:
    """The image's manifest with other fields."""
    return json.dumps(json.loads(DOCUMENT.content) | changes).encode()


def with_sizes(size: int) -> bytes:
    """The image's manifest, lying about how long each layer is."""
    manifest = json.loads(DOCUMENT.content)
    for layer in manifest["layers"]:
        layer["size"] = size
    return json.dumps(manifest).encode()


ERRORS = [
    ("manifest", bad.status(403, "DENIED", "access denied"), errors.PermissionDenied, "denied"),
    ("manifest", bad.status(404, "MANIFEST_UNKNOWN", "manifest unknown"), errors.NotFound, "manifest unknown"),
    ("manifest", bad.status(500, "UNKNOWN", "internal trouble"), errors.Unavailable, "internal trouble|500"),
    ("manifest", bad.status(503, "UNAVAILABLE", "overloaded"), errors.Unavailable, "overloaded|503"),
    ("ping", bad.status(500, "UNKNOWN", "internal trouble"), errors.Unavailable, "500"),
    ("manifest", bad.endless, errors.ResourceExhausted, "4194304|exceeded"),
    ("manifest", bad.other(b"<html>captive portal</html>"), errors.InvalidArgument, "cannot be read"),
    ("manifest", bad.other(listing(manifests=[])), errors.InvalidArgument, "ambiguous"),
    ("manifest", bad.other(with_sizes(17)), errors.DataLoss, "17"),
    ("manifest", bad.other(with_sizes(1 << 40)), errors.DataLoss, str(1 << 40)),
    ("config", bad.status(404, "BLOB_UNKNOWN", "blob unknown"), errors.NotFound, "404|blob unknown"),
    ("config", bad.damaged, errors.DataLoss, "corrupted|digest"),
    ("config", bad.endless, errors.ResourceExhausted, "more than 4194304 bytes"),
    ("config", bad.cut, errors.Unavailable, "EOF"),
    ("layer", bad.status(401, "UNAUTHORIZED", "authentication required"), errors.Unauthenticated, "unauthorized"),
    ("layer", bad.status(403, "DENIED", "access denied"), errors.PermissionDenied, "403|denied"),
    ("layer", bad.status(404, "BLOB_UNKNOWN", "blob unknown"), errors.NotFound, "404|blob unknown"),
    ("layer", bad.status(500, "UNKNOWN", "internal trouble"), errors.Unavailable, "500"),
    ("layer", bad.damaged, errors.DataLoss, "digest|corrupted"),
    ("layer", bad.shorter, errors.DataLoss, "bytes at the registry"),
    ("layer", bad.longer, errors.DataLoss, "more|longer|bytes"),
    ("layer", bad.cut, errors.Unavailable, "EOF"),
    ("layer", bad.stalled, errors.DeadlineExceeded, "nothing came for 1 s"),
]


@pytest.mark.parametrize(("kind", "answer", "error", "words"), ERRORS)
async def test_what_is_said_of_it(
    registry: BadRegistry,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    answer: bad.Answer,
    error: type[errors.CriError],
    words: str,
) -> None:
    registry.spoil[kind] = answer
    with caplog.at_level(logging.DEBUG), pytest.raises(errors.CriError, match=words) as raised:
        await pull(registry, tmp_path / "root", stalled=1 if answer is bad.stalled else HANGS)
    assert type(raised.value) is error, raised.value
    assert PASSWORD not in caplog.text


async def test_slow_bytes_are_bytes(registry: BadRegistry, tmp_path: Path) -> None:
    registry.spoil["layer"] = registry.spoil["config"] = bad.slow
    await pull(registry, tmp_path / "root")


@pytest.mark.parametrize("kind", ["manifest", "layer"])
async def test_too_many_requests_with_a_time_to_wait_are_repeated_after_it(
    registry: BadRegistry, tmp_path: Path, kind: str
) -> None:
    refused: list[str] = []

    def once(handler: bad.Handler, content: bytes, media_type: str) -> None:
        if refused:
            bad.well(handler, content, media_type)
        else:
            refused.append(kind)
            bad.status(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"})(handler, content, media_type)

    registry.spoil[kind] = once
    await pull(registry, tmp_path / "root")
    assert refused == [kind]


class Counted:
    """An answer that is spoilt the first `times` that it is asked for."""

    def __init__(self, spoilt: bad.Answer, times: int) -> None:
        self.spoilt, self.times, self.asked = spoilt, times, 0

    def __call__(self, handler: bad.Handler, content: bytes, media_type: str) -> None:
        self.asked += 1
        (self.spoilt if self.asked <= self.times else bad.well)(handler, content, media_type)


INTERNAL = bad.status(500, "UNKNOWN", "trouble")
LATER = bad.status(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "3600"})


@pytest.mark.parametrize(("kind", "spoilt"), [("layer", bad.cut), ("layer", INTERNAL), ("config", bad.cut)])
async def test_what_has_broken_off_is_fetched_again_and_counted(
    registry: BadRegistry, tmp_path: Path, kind: str, spoilt: bad.Answer, caplog: pytest.LogCaptureFixture
) -> None:
    registry.spoil[kind] = answer = Counted(spoilt, 2)
    metrics = Metrics()
    await pull(registry, tmp_path / "root", metrics=metrics)
    assert b"criserver_pull_retries_total 2.0" in metrics.text()
    assert answer.asked == (4 if kind == "layer" else 3)
    assert "is tried again in 0.01 s" in caplog.text


async def test_what_breaks_off_each_time_is_given_up(registry: BadRegistry, tmp_path: Path) -> None:
    registry.spoil["config"] = answer = Counted(bad.cut, 99)
    with pytest.raises(errors.Unavailable, match="EOF"):
        await pull(registry, tmp_path / "root")
    assert answer.asked == 3


@pytest.mark.parametrize(("kind", "spoilt"), [("layer", bad.damaged), ("config", bad.status(404, "X", "unknown"))])
async def test_what_would_be_the_same_again_is_asked_for_once(
    registry: BadRegistry, tmp_path: Path, kind: str, spoilt: bad.Answer
) -> None:
    registry.spoil[kind] = answer = Counted(spoilt, 99)
    with pytest.raises(errors.CriError):
        await pull(registry, tmp_path / "root")
    assert answer.asked <= (1 if kind == "config" else 2)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("manifest", r"Retry-After: 3600\).*given up after 2 s"), ("layer", "within 2 s: it is silent, or")],
)
async def test_who_is_to_come_back_in_an_hour_is_told_so_and_does_not_wait(
    registry: BadRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    monkeypatch.setattr("criserver.drivers.images.skopeo.RESOLVE_SECONDS", 2)
    monkeypatch.setattr("criserver.drivers.images.proxy.BEGIN_SECONDS", 2)
    registry.spoil[kind] = LATER
    with pytest.raises(errors.Busy, match=words):
        await pull(registry, tmp_path / "root")


async def test_wrong_and_missing_credentials(registry: BadRegistry, tmp_path: Path) -> None:
    for credentials in (None, Credentials(USER, "wrong")):
        with pytest.raises(errors.Unauthenticated):
            await pull(registry, tmp_path / "root", credentials)


async def test_an_identity_token_is_changed_for_one_of_access(
    registry: BadRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry.tokens = {"identity-s3cret-word": "access-s3cret-word"}
    with pytest.raises(errors.Unauthenticated):
        await pull(registry, tmp_path / "root", Credentials(identity_token="another"))
    with caplog.at_level(logging.DEBUG):
        await pull(registry, tmp_path / "root", Credentials(identity_token="identity-s3cret-word"))
    assert {asked.authorization for asked in registry.asked} == {"", "Bearer access-s3cret-word"}
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("kind", ["layer", "config", "manifest"])
async def test_credentials_do_not_follow_a_redirection(registry: BadRegistry, tmp_path: Path, kind: str) -> None:
    with BadRegistry(DOCUMENT, "127.0.0.2") as elsewhere:
        registry.spoil[kind] = bad.redirected(elsewhere.address)
        with pytest.raises(errors.CriError):  # The other one wants credentials, and is not given any.
            await pull(registry, tmp_path / "root")
        assert elsewhere.asked
        assert {asked.authorization for asked in elsewhere.asked} == {""}
    assert EXPECTED in {asked.authorization for asked in registry.asked}


async def test_foreign_layers_are_refused_before_anybody_is_asked(registry: BadRegistry, tmp_path: Path) -> None:
    with BadRegistry(DOCUMENT, "127.0.0.2") as elsewhere:
        manifest = json.loads(DOCUMENT.content)
        manifest["layers"][0] |= {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "urls": [f"http://{elsewhere.address}/v2/app/blobs/{digest(b'x')}"],
        }
        registry.spoil["manifest"] = bad.other(json.dumps(manifest).encode())
        with pytest.raises(errors.InvalidArgument, match="foreign"):
            await pull(registry, tmp_path / "root")
        assert elsewhere.asked == []


async def test_a_caller_that_gives_up_at_once_harms_nobody(registry: BadRegistry, tmp_path: Path) -> None:
    registry.spoil["layer"] = bad.slow
    conf = registry.registries_conf(tmp_path / "registries.conf")
    name = f"{registry.address}/app:1"
    async with node(tmp_path / "root", conf) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.images.pull(name, JOE), 0.001)
        others = await asyncio.gather(*(server.images.pull(name, JOE) for _ in range(3)))
        assert {other.repo_tags for other in others} == {(name,)}
        layers = [asked for asked in registry.asked if asked.path.rpartition("/")[2] in list(DOCUMENT.blobs)[1:]]
        assert len(layers) == 2


async def test_images_on_one_base_fetch_it_once(tmp_path: Path) -> None:
    base = {"base": file(os.urandom(200_000))}
    images = {number: image(base, {f"{number}": file("x")}) for number in range(10)}
    blobs = {name: blob for each in images.values() for name, blob in each.blobs.items()}
    everything = Document(b"", next(iter(images.values())).media_type, blobs)

    class Many(BadRegistry):
        def found(self, path: str) -> tuple[str, bytes, str]:
            if "/manifests/" not in path:
                return super().found(path)
            return "manifest", images[int(path.split("/")[2])].content, self.document.media_type

    with Many(everything) as registry:
        registry.spoil["layer"] = bad.slow
        conf = registry.registries_conf(tmp_path / "registries.conf")
        async with node(tmp_path / "root", conf) as server:
            pulls = (server.images.pull(f"{registry.address}/{number}:1", JOE) for number in images)
            pulled = await asyncio.gather(*pulls)
            assert len({each.layers[0] for each in pulled}) == 1
        fetched = [asked.path.rpartition("/")[2] for asked in registry.asked if "/blobs/" in asked.path]
        assert sorted(fetched) == sorted(blobs)
