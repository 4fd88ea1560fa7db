"""The machine went down under a running server: layers are looked at beside requests, and damaged ones mended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry
from tests.support.server import Client, Server

APP, OTHER = "docker.io/test/powerless:1", "docker.io/test/whole:1"


@pytest.fixture
def server(tmp_path: Path, pulling: Mapping[str, str], registry: Registry) -> Iterator[Server]:
    registry.push("test/powerless", image({"a": file("a" * 1000)}, busybox_tree()), "1")
    registry.push("test/whole", image({f"b/{n}": file("b") for n in range(5000)}), "1")
    with serving(tmp_path, {"image": pulling}) as running:
        with running.client() as client:
            for name in (OTHER, APP):
                cri.pull(client, name)
        yield running


def layer(server: Server, name: str) -> Path:
    with server.client() as client:
        return layer_of(server, client, name)


def layer_of(server: Server, client: Client, name: str) -> Path:
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=name), verbose=True)
    return server.root / "layers" / str(json.loads(client("ImageStatus", request).info["info"])["layers"][0])


def made(client: Client, name: str, *command: str) -> str:
    """A container of the image in a pod of its own."""
    pod = pod_config(name)
    return cri.create(client, cri.run(client, pod), container_config("main", *command, image=APP), pod)


def in_another_boot(server: Server) -> None:
    mark = server.root / "boot"
    mark.write_text(f"00000000-0000-0000-0000-000000000000 {mark.read_text().split()[1]}\n")


def test_after_a_power_loss_damaged_images_are_mended(server: Server) -> None:
    damaged, whole = layer(server, APP), layer(server, OTHER)
    server.kill9()
    os.truncate(damaged / "a", 0)
    in_another_boot(server)
    server.start()
    server.wait_until(lambda: "image layers are checked" in server.log.read_text(), 30, "the check to end")
    log = server.log.read_text()
    assert f"image {APP} is damaged" in log
    assert f"image {APP} is pulled again" in log
    assert (layer(server, APP) / "a").read_text() == "a" * 1000
    assert layer(server, OTHER) == whole


def test_no_container_is_made_of_an_image_that_was_not_looked_at_yet(server: Server) -> None:
    damaged = layer(server, APP)
    with server.client() as client:
        dead = made(client, "before", "true")
        cri.start(client, dead)
        server.wait_until(lambda: cri.status(client, dead).state == pb.CONTAINER_EXITED, 30, "it to end")
    server.kill9()
    os.truncate(damaged / "a", 0)
    in_another_boot(server)
    server.start()
    with server.client() as client:
        container = made(client, "after", "test", "-s", "/a")
        cri.start(client, container)
        server.wait_until(lambda: cri.status(client, container).state == pb.CONTAINER_EXITED, 30, "it to end")
        assert cri.status(client, container).exit_code == 0, "the file is not empty"
        assert dead in {each.id for each in cri.containers(client)}, "which is no reason to keep what is damaged"


def test_after_a_kill_or_a_clean_stop_nothing_is_looked_at(server: Server) -> None:
    server.kill9()
    server.start()
    server.stop()
    in_another_boot(server)
    server.start()
    assert "every image layer is looked at" not in server.log.read_text()
    server.wait_until(lambda: not server.left()["processes"], 10, "what starts the zygote to end")
