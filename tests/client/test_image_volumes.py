"""Image volumes (KEP-4639): an image's files in a container, read-only, for as long as the container is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import artifact, digest, directory, file, image, symlink, tar
from tests.support.registry import Registry
from tests.support.server import Client, Server

ONE, TWO, NONE = (f"docker.io/test/{name}:latest" for name in ("one-layer", "two-layers", "no-layers"))


@pytest.fixture(scope="module", autouse=True)
def digests(server: Server, registry: Registry) -> dict[str, str]:
    """Image → digest of what the registry has."""
    first = {
        "file": file("first"), "dir/inner": file("inner"), "tool": file("#!/bin/sh\necho ran\n", 0o755),
        "inside": symlink("/dir"), "out": symlink("../../../../etc"), "empty/": directory(),
    }  # fmt: skip
    found = {
        ONE: registry.push("test/one-layer", image(first), "latest"),
        TWO: registry.push("test/two-layers", image(first, {"file": file("second"), "more": file("more")}), "latest"),
        NONE: registry.push("test/no-layers", image(), "latest"),
    }
    with server.client() as client:
        for name in (cri.BUSYBOX, *found):
            cri.pull(client, name)
    return found


@pytest.fixture
def pod(client: Client) -> Iterator[str]:
    pod_id = cri.run(client, pod_config("volumes"))
    yield pod_id
    cri.remove_pod(client, pod_id)


def volume(name: str, path: str = "/volume", *, image_sub_path: str = "") -> pb.Mount:
    return pb.Mount(container_path=path, image=pb.ImageSpec(image=name), image_sub_path=image_sub_path)


def mounted(client: Client, pod_id: str, *mounts: pb.Mount) -> str:
    """A running container."""
    wish = container_config("main", "sleep", "1000")
    wish.mounts.extend(mounts)
    container_id = cri.create(client, pod_id, wish, pb.PodSandboxConfig())
    cri.start(client, container_id)
    return container_id


def sh(client: Client, container_id: str, script: str) -> str:
    request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", f"{{ {script}; }} 2>&1"], timeout=20)
    return str(client("ExecSync", request).stdout.decode().strip())


def refused(client: Client, pod_id: str, mount: pb.Mount) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        mounted(client, pod_id, mount)
    return str(caught.value.details())


@pytest.mark.parametrize(("name", "content"), [(ONE, "first"), (TWO, "second")])
def test_files_of_an_image(client: Client, pod: str, name: str, content: str) -> None:
    container_id = mounted(client, pod, volume(name))
    assert sh(client, container_id, "cat /volume/file /volume/dir/inner") == content + "inner"


def test_nothing_is_written_and_nothing_runs(client: Client, pod: str) -> None:
    container_id = mounted(client, pod, volume(ONE), volume(TWO, "/two"))
    for path in ("/volume", "/two"):
        assert "Read-only file system" in sh(client, container_id, f"touch {path}/new")
        assert "Read-only file system" in sh(client, container_id, f"echo x > {path}/file")
        assert "Permission denied" in sh(client, container_id, f"{path}/tool")
        sh(client, container_id, f"mount -o remount,rw {path}")
        assert "Read-only file system" in sh(client, container_id, f"touch {path}/new")


def test_mount_options_may_let_programs_run(client: Client, pod: str) -> None:
    mount = volume(ONE)
    mount.mount_options.append("exec")
    assert sh(client, mounted(client, pod, mount), "/volume/tool") == "ran"


def test_an_image_without_layers_is_an_empty_directory(client: Client, pod: str) -> None:
    assert sh(client, mounted(client, pod, volume(NONE)), "ls -A /volume; echo done") == "done"


def test_sub_paths(client: Client, pod: str) -> None:
    wanted = {"/dir": "dir", "/linked": "inside", "/whole": ""}
    container_id = mounted(client, pod, *(volume(TWO, path, image_sub_path=sub) for path, sub in wanted.items()))
    assert sh(client, container_id, "cat /dir/inner /linked/inner /whole/more") == "innerinnermore"


def test_a_sub_path_stays_in_the_image(client: Client, pod: str, server: Server) -> None:
    assert "ImageVolumeMountFailed" in refused(client, pod, volume(ONE, image_sub_path="not/there"))
    assert "ImageVolumeMountFailed" in refused(client, pod, volume(ONE, image_sub_path="out")), "no /etc in the image"
    assert "image_sub_path" in refused(client, pod, volume(ONE, image_sub_path="../dir"))
    assert list((server.state / "volumes").glob("*")) == [], "a refused container leaves nothing behind"


def test_an_image_that_is_not_here(client: Client, pod: str) -> None:
    words = refused(client, pod, volume("docker.io/test/absent:latest"))
    assert words.startswith("ImageVolumeMountFailed: config.mounts /volume: image 'docker.io/test/absent:latest'")


def test_the_status_tells_the_digest(client: Client, pod: str, digests: dict[str, str]) -> None:
    container_id = mounted(client, pod, volume(TWO, image_sub_path="dir"))
    (shown,) = cri.status(client, container_id).mounts
    assert shown.image.image == TWO
    assert shown.image.image_ref == f"docker.io/test/two-layers@{digests[TWO]}"
    assert shown.image_sub_path == "dir"


def test_an_image_in_use_stays(client: Client, pod: str) -> None:
    container_id = mounted(client, pod, volume(TWO))
    with pytest.raises(grpc.RpcError, match=f"in use by container:{container_id}"):
        client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=TWO)))
    assert sh(client, container_id, "cat /volume/more") == "more"


def test_volumes_survive_the_server_and_go_with_the_container(server: Server, pod: str) -> None:
    with server.client() as client:
        container_id = mounted(client, pod, volume(TWO), volume(ONE, "/one"))
    assert sorted(server.mounts()) == sorted(set(server.mounts())), "each is mounted once"
    server.kill9()
    server.start()
    with server.client() as client:
        assert sh(client, container_id, "cat /volume/file /one/file") == "secondfirst"
        assert len(volumes(server)) == 2
        client("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id))
    assert volumes(server) == [] and not list((server.state / "volumes").iterdir())


def volumes(server: Server) -> list[str]:
    return [target for target in server.mounts() if Path(target).is_relative_to(server.state / "volumes")]


MODEL = "docker.io/test/model:latest"


def test_an_artifact_is_a_volume_of_its_files(client: Client, registry: Registry, pod: str) -> None:
    files = {"weights.bin": b"\x1f\x8b no gzip at all", "conf/model.json": b"{}", "a tar.tar": tar({"x": file("x")})}
    pushed = registry.push("test/model", artifact(files), "latest")
    model = cri.pull(client, MODEL)
    assert model == pushed, "artifacts have their manifest's digest for id"
    assert cri.pull(client, MODEL) == model
    (listed,) = [each for each in client("ListImages", pb.ListImagesRequest()).images if each.id == model]
    assert (list(listed.repo_tags), list(listed.repo_digests)) == ([MODEL], [f"docker.io/test/model@{pushed}"])
    assert listed.size >= sum(map(len, files.values()))
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=model), verbose=True)
    assert json.loads(client("ImageStatus", request).info["info"])["artifactType"] == "application/vnd.test.model"
    whole, part = volume(MODEL), volume(MODEL, "/part", image_sub_path="conf")
    container_id = mounted(client, pod, whole, part)
    for name, data in files.items():
        sum_of = sh(client, container_id, f"sha256sum < '/volume/{name}'").split()[0]
        assert f"sha256:{sum_of}" == digest(data)
    assert sh(client, container_id, "cd /volume; find . -type f | sort").split("\n")[:3] == [
        "./a tar.tar", "./conf/model.json", "./weights.bin",
    ]  # fmt: skip
    assert sh(client, container_id, "ls /part").strip() == "model.json"
    assert "Read-only" in sh(client, container_id, "echo x > /volume/new || true")


def test_an_artifact_is_nothing_to_run(client: Client, registry: Registry, pod: str) -> None:
    registry.push("test/model", artifact({"other": b"x"}), "only")
    name = "docker.io/test/model:only"
    cri.pull(client, name)
    with pytest.raises(grpc.RpcError, match=r"is an OCI artifact \(application/vnd.test.model\).*mount it") as refusal:
        cri.create(client, pod, container_config("main", "x", image=name), pb.PodSandboxConfig())
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    client("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=name)))
    assert client("ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=name))).image.id == ""
