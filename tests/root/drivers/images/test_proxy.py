"""The proxy of the real skopeo at a real registry: documents, blobs at once, and blobs that end badly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from criserver.drivers.images.proxy import ImageProxy
from criserver.drivers.images.skopeo import Skopeo, SkopeoSettings
from criserver.errors import CriError, DataLoss, NotFound
from criserver.kernel.pipes import read_all
from tests.support.images import Document, digest, file, image, index
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

DOCUMENT = image({"a": file(os.urandom(300_000))}, {"b": file(os.urandom(2_000_000))})
CONFIG, *LAYERS = DOCUMENT.blobs


@pytest.fixture
async def proxy(tmp_path: Path, registry: Registry, registries_conf: Path) -> AsyncIterator[ImageProxy]:
    registry.push("proxied", DOCUMENT, "1")
    (tmp_path / "auth.json").write_text("{}")
    skopeo = Skopeo(SkopeoSettings(registries_conf=str(registries_conf)))
    running = skopeo.proxy("docker://registry.k8s.io/proxied:1", str(tmp_path), str(tmp_path / "auth.json"))
    yield running
    await running.close()


async def fetch(proxy: ImageProxy, name: str, document: Document = DOCUMENT) -> bytes:
    size = len(document.blobs[name])
    async with proxy.blob(name, size) as stream:
        reading = asyncio.gather(read_all(stream.fd, size - 1))
        (content,) = await asyncio.wait_for(reading, 20)
        await stream.finish()
    return bytes(content)


async def test_documents_and_blobs_at_once(proxy: ImageProxy) -> None:
    await proxy.open()
    await proxy.open()
    assert await proxy.manifest() == (DOCUMENT.digest, DOCUMENT.content)
    assert await proxy.document(CONFIG, len(DOCUMENT.blobs[CONFIG])) == DOCUMENT.blobs[CONFIG]
    blobs = await asyncio.gather(*(fetch(proxy, layer) for layer in LAYERS))
    assert list(blobs) == [DOCUMENT.blobs[layer] for layer in LAYERS]


async def test_another_image_of_the_same_repository(proxy: ImageProxy, registry: Registry) -> None:
    other = image({"c": file("c")})
    registry.push("proxied", index({"amd64": other, "arm64": image({"d": file("d")})}), "2")
    await proxy.open()
    await proxy.open("docker://registry.k8s.io/proxied:2")
    assert (await proxy.manifest())[0] in {other.digest, image({"d": file("d")}).digest}


async def test_a_blob_that_is_not_there(proxy: ImageProxy) -> None:
    await proxy.open()
    with pytest.raises(NotFound, match="404"):
        await fetch(proxy, digest(b"missing"), Document(b"", "", {digest(b"missing"): b"missing"}))
    assert await fetch(proxy, LAYERS[0]) == DOCUMENT.blobs[LAYERS[0]]


async def test_a_blob_of_another_size(proxy: ImageProxy) -> None:
    await proxy.open()
    with pytest.raises(DataLoss, match=rf"has {len(DOCUMENT.blobs[LAYERS[0]])} bytes at the registry"):
        async with proxy.blob(LAYERS[0], 17):
            pass
    assert await fetch(proxy, LAYERS[1]) == DOCUMENT.blobs[LAYERS[1]]


async def test_a_reader_that_leaves_early_does_not_stop_the_others(proxy: ImageProxy) -> None:
    await proxy.open()
    async with proxy.blob(LAYERS[1], len(DOCUMENT.blobs[LAYERS[1]])) as stream:
        with pytest.raises(CriError, match="more bytes than"):
            await asyncio.wait_for(stream.finish(), 10)
    assert await fetch(proxy, LAYERS[0]) == DOCUMENT.blobs[LAYERS[0]]


async def test_a_caller_that_gives_up_leaves_the_conversation_in_order(proxy: ImageProxy) -> None:
    await proxy.open()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(proxy.document(CONFIG, len(DOCUMENT.blobs[CONFIG])), 0.0001)
    assert await fetch(proxy, LAYERS[0]) == DOCUMENT.blobs[LAYERS[0]]
    await asyncio.sleep(0.1)
    assert len(os.listdir("/proc/self/fd")) <= descriptors


async def test_a_proxy_that_dies_is_told(tmp_path: Path) -> None:
    proxy = Skopeo(SkopeoSettings(skopeo="/bin/false")).proxy("docker://a/b:1", str(tmp_path), "/none")
    with pytest.raises(CriError, match="docker://a/b:1: skopeo ended with status 1"):
        await proxy.open()
    await proxy.close()
