"""ImageFsInfo against du(1), for images and for what containers write; one file system or two."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import Node, file, hardlink, image
from tests.support.registry import Registry
from tests.support.server import Server

BIG, OTHER = "docker.io/test/big:1", "docker.io/test/beside:1"


@pytest.fixture(scope="module", autouse=True)
def images(registry: Registry) -> None:
    base: dict[str, Node] = {f"d{n % 9}/{n}": file("x" * (n * 17)) for n in range(400)}
    registry.push("test/big", image(base, {"data": file(b"y" * 3_000_000), "same": hardlink("data")}), "1")
    registry.push("test/beside", image(base, {"else": file("z")}), "1")


def du(*paths: Path) -> tuple[int, int]:
    """Bytes and inodes of trees."""
    totals = []
    for options in (["-B1"], ["--inodes"]):
        listing = subprocess.run(["du", "-sc", *options, *paths], check=True, capture_output=True, text=True)
        totals.append(int(listing.stdout.splitlines()[-1].split()[0]))
    return totals[0], totals[1]


def same(usage: pb.FilesystemUsage, expected: tuple[int, int]) -> bool:
    told = usage.used_bytes.value, usage.inodes_used.value
    return all(abs(one - other) <= other / 100 for one, other in zip(told, expected, strict=True))


def info(server: Server) -> tuple[pb.FilesystemUsage, pb.FilesystemUsage]:
    with server.client() as client:
        answer = client("ImageFsInfo", pb.ImageFsInfoRequest())
    (of_images,), (of_containers,) = answer.image_filesystems, answer.container_filesystems
    return of_images, of_containers


def written(server: Server, pod_id: str) -> None:
    """A container that has written a few megabytes."""
    script = "head -c 5000000 /dev/zero > /data; for n in $(seq 300); do echo $n > /file-$n; done; sleep 1000"
    with server.client() as client:
        container_id = cri.create(client, pod_id, container_config("main", "sh", "-c", script), pb.PodSandboxConfig())
        cri.start(client, container_id)
    last = server.root / "containers" / container_id / "upper" / "file-300"
    server.wait_until(last.exists, 30, "the container to have written")


def check(server: Server) -> None:
    with server.client() as client:
        for name in (cri.BUSYBOX, BIG, OTHER):
            cri.pull(client, name)
        pod_id = cri.run(client, pod_config("disk"))
    written(server, pod_id)
    layers = sorted((Path(info(server)[0].fs_id.mountpoint)).glob("[0-9]*"))
    assert len(layers) == 4, "the base of two images is there once"
    assert same(info(server)[0], du(*layers))
    uppers = sorted((server.root / "containers").glob("*/upper"))
    server.wait_until(lambda: same(info(server)[1], du(*uppers)), 60, "the walk of the writable layer")
    with server.client() as client:
        client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=BIG)))
    left = sorted((Path(info(server)[0].fs_id.mountpoint)).glob("[0-9]*"))
    assert len(left) == 3
    assert same(info(server)[0], du(*left))


def test_on_one_file_system(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    with serving(tmp_path, {"image": pulling}) as server:
        check(server)
        of_images, of_containers = info(server)
        assert of_images.fs_id.mountpoint == of_containers.fs_id.mountpoint == str(server.root / "layers")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "criserver-test", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_on_two(tmp_path: Path, pulling: Mapping[str, str], disk: Path) -> None:
    base = tmp_path / "server"
    with serving(base, {"image": {**pulling, "store": str(disk / "images")}}) as server:
        check(server)
        of_images, of_containers = info(server)
        assert of_images.fs_id.mountpoint == str(disk / "images" / "layers")
        assert of_containers.fs_id.mountpoint == str(server.root / "containers")
