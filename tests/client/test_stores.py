"""Images in a directory of their own, and in stores that are only read: pods run from both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry
from tests.support.server import Client, Server

SHARED, TWO = "docker.io/test/shared:1", "docker.io/test/two:1"


@pytest.fixture(scope="module")
def shared(pulling: Mapping[str, str], registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root directory of a server that has pulled and stopped."""
    registry.push("test/shared", image(busybox_tree(), {"made": file("by another")}, config={"User": "5"}), "1")
    registry.push("test/two", image({"x": file("two")}), "1")
    base = tmp_path_factory.mktemp("shared")
    with serving(base, {"image": pulling}) as running, running.client() as client:
        for name in (SHARED, TWO):
            cri.pull(client, name)
    return running.root


@pytest.fixture(scope="module")
def server(
    base: Path, pulling: Mapping[str, str], shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    images = {"store": str(base / "store"), "additional_stores": [str(shared), "/nowhere"], **pulling}
    with serving(base, {"image": images}) as running:
        yield running


def contents(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in (directory, *directory.rglob("*"))
    }


def status(client: Client, name: str) -> pb.Image:
    answer: pb.Image = client("ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=name))).image
    return answer


def remove(client: Client, name: str) -> None:
    client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=name)))


def output(client: Client, container: pb.ContainerConfig, *command: str) -> str:
    pod_id = cri.run(client, pod_config("stores"))
    container_id = cri.create(client, pod_id, container, pb.PodSandboxConfig())
    cri.start(client, container_id)
    answer = client("ExecSync", pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=20))
    cri.remove_pod(client, pod_id)
    return str(answer.stdout.decode())


def test_a_pod_on_a_store_that_is_only_read(server: Server, client: Client, shared: Path) -> None:
    before = contents(shared)
    found = status(client, SHARED)
    assert (list(found.repo_tags), found.uid.value, found.pinned) == ([SHARED], 5, True)
    assert found.id in {row.id for row in client("ListImages", pb.ListImagesRequest()).images}
    wish = container_config("main", "sleep", "1000", image=SHARED)
    wish.mounts.append(pb.Mount(container_path="/volume", image=pb.ImageSpec(image=TWO)))
    assert output(client, wish, "cat", "/made", "/volume/x") == "by anothertwo"
    assert contents(shared) == before
    assert "image.additional_stores: /nowhere is no store" in server.log.read_text()


def test_its_images_are_not_removed(client: Client, shared: Path) -> None:
    before, found = contents(shared), status(client, SHARED)
    for name in (SHARED, found.id, found.repo_digests[0]):
        with pytest.raises(grpc.RpcError, match="which is only read") as refused:
            remove(client, name)
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (status(client, SHARED), contents(shared)) == (found, before)


def test_a_pull_of_what_is_there_fetches_nothing(server: Server, client: Client, registry: Registry) -> None:
    blobs = registry.requests("/blobs/")
    assert cri.pull(client, SHARED) == status(client, SHARED).id
    assert registry.requests("/blobs/") == blobs
    assert not list((server.base / "store" / "layers").glob("[0-9]*"))


def test_a_new_name_for_it_is_an_own_image_until_that_is_removed(
    server: Server, client: Client, registry: Registry
) -> None:
    registry.push("test/renamed", image({"x": file("two")}), "1")
    renamed = "docker.io/test/renamed:1"
    image_id = cri.pull(client, renamed)
    assert (image_id, list(status(client, image_id).repo_tags)) == (status(client, TWO).id, [renamed])
    remove(client, renamed)
    assert list(status(client, image_id).repo_tags) == [TWO]
    assert status(client, renamed).id == ""


def test_images_lie_in_their_own_directory(server: Server, client: Client) -> None:
    cri.pull(client)
    store = server.base / "store"
    assert sorted(os.listdir(store)) == ["layers", "lock", "tmp"]
    assert not (server.root / "layers").exists()
    (fs,) = client("ImageFsInfo", pb.ImageFsInfoRequest()).image_filesystems
    assert fs.fs_id.mountpoint == str(store / "layers")
    assert output(client, container_config("main", "sleep", "1000"), "echo", "hello") == "hello\n"
    server.kill9()
    server.start()
    assert status(client, cri.BUSYBOX).id
    assert status(client, SHARED).id


def test_a_second_server_does_not_get_the_store(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path, 99, {"image": {"store": str(server.base / "store")}})
    with pytest.raises(AssertionError, match="is in use by the server with pid"):
        other.start()
