"""The image RPCs over a real socket, on a service whose registry and trees are fakes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from criserver.api.convert import pieces
from criserver.api.images import ImageHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.api.pb.api_pb2_grpc import ImageServiceStub
from criserver.api.service import service
from criserver.errors import SignatureRejected, Unavailable
from criserver.lifecycle.images.images import FilesystemUsage, ImageService
from criserver.lifecycle.images.pulls import Sources
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.tasks import Tasks
from criserver.model.image import Credentials
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from tests.support.grpc_server import serving
from tests.support.image_fakes import FakeLayers, FakeRegistry, FullNames, NoArchives, digest, fetched, unsigned

APP = "a.example/app:1"


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry({APP: (digest("f"), fetched("1", "b"))})


async def written() -> FilesystemUsage:
    """What containers have written."""
    return FilesystemUsage("/w", 5, 6, 7)


@pytest.fixture
async def stub(tmp_path: Path, registry: FakeRegistry) -> AsyncIterator[Any]:
    database = Database(str(tmp_path / "test.db"))
    repository = ImageRepository(database)
    sources = Sources(registry, NoArchives(), FullNames())
    images = ImageService(repository, sources, FakeLayers(), Operations(Tasks()), unsigned(database))
    handler = service(pb.DESCRIPTOR.services_by_name["ImageService"], ImageHandlers(images, written))
    async with serving(tmp_path, handler) as address, grpc.aio.insecure_channel(address) as channel:
        yield ImageServiceStub(channel)
    database.close()


def spec(name: str) -> pb.ImageSpec:
    return pb.ImageSpec(image=name)


async def test_the_life_of_an_image(stub: Any) -> None:
    assert not (await stub.ImageStatus(pb.ImageStatusRequest(image=spec(APP)))).HasField("image")
    pulled = await stub.PullImage(pb.PullImageRequest(image=spec(APP)))
    assert pulled.image_ref == digest("1")
    (listed,) = (await stub.ListImages(pb.ListImagesRequest())).images
    status = await stub.ImageStatus(pb.ImageStatusRequest(image=spec(APP), verbose=True))
    assert status.image == listed
    assert json.loads(status.info["info"])["imageSpec"] == {}
    usage = await stub.ImageFsInfo(pb.ImageFsInfoRequest())
    assert usage.image_filesystems[0].used_bytes.value == 100
    (containers,) = usage.container_filesystems
    assert (containers.fs_id.mountpoint, containers.used_bytes.value, containers.inodes_used.value) == ("/w", 5, 6)
    for _ in range(2):
        await stub.RemoveImage(pb.RemoveImageRequest(image=spec(pulled.image_ref)))
    assert list((await stub.ListImages(pb.ListImagesRequest())).images) == []


async def test_a_list_of_half_the_limit_is_warned_of(
    stub: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MESSAGE_LIMIT", 200)
    monkeypatch.setattr(pieces, "_said", {})
    await stub.PullImage(pb.PullImageRequest(image=spec(APP)))
    await stub.ListImages(pb.ListImagesRequest())
    assert "remove images that nothing uses, or ask with StreamImages" in caplog.text


async def test_list_and_stream_take_a_filter(stub: Any, registry: FakeRegistry) -> None:
    registry.images |= {f"a.example/n{n}:1": (digest("f"), fetched(f"{n:064x}"[-1])) for n in range(2, 10)}
    for name in registry.images:
        await stub.PullImage(pb.PullImageRequest(image=spec(name)))
    request = pb.ImageFilter(image=spec(APP))
    (only,) = (await stub.ListImages(pb.ListImagesRequest(filter=request))).images
    streamed = [
        image async for piece in stub.StreamImages(pb.StreamImagesRequest(filter=request)) for image in piece.images
    ]
    assert streamed == [only]
    all_of_them = [image async for piece in stub.StreamImages(pb.StreamImagesRequest()) for image in piece.images]
    assert all_of_them == list((await stub.ListImages(pb.ListImagesRequest())).images)


async def test_credentials_reach_the_registry(stub: Any, registry: FakeRegistry) -> None:
    auth = pb.AuthConfig(username="joe", password="pw")
    await stub.PullImage(pb.PullImageRequest(image=spec(APP), auth=auth))
    assert registry.credentials == [Credentials("joe", "pw")]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT),
        ("NOT valid", grpc.StatusCode.INVALID_ARGUMENT),
        ("missing:1", grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_errors_become_statuses(stub: Any, name: str, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.PullImage(pb.PullImageRequest(image=spec(name)))
    assert failed.value.code() is code


async def test_a_caller_that_gives_up(stub: Any, registry: FakeRegistry) -> None:
    registry.hold.clear()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.PullImage(pb.PullImageRequest(image=spec(APP)), timeout=0.05)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    registry.hold.set()
    assert (await stub.PullImage(pb.PullImageRequest(image=spec(APP)))).image_ref == digest("1")
    assert registry.fetches == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unavailable("reg: connection refused"), "RegistryUnavailable: reg: connection refused"),
        (SignatureRejected("reg: rejected by policy"), "SignatureValidationFailed: reg: rejected by policy"),
    ],
)
async def test_what_the_kubelet_reads_in_an_error(
    stub: Any, registry: FakeRegistry, error: Exception, words: str
) -> None:
    registry.broken = error
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.PullImage(pb.PullImageRequest(image=spec(APP)))
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNKNOWN, words)
