"""Images whose links lead to the host, at every place where something is put into a container: nothing gets there.

On each runtime, and once more in a user namespace. What is refused is as good as what stays in the image.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.crictl import TOOLS
from tests.support.critest import private
from tests.support.images import Node, busybox_tree, image, symlink, tar
from tests.support.registry import Registry
from tests.support.server import Client, Server

IDS = pb.IDMapping(host_id=100000, container_id=0, length=65536)
SECRET = "of the host"


@pytest.fixture(scope="module", params=["runc", "crun", "mapped"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server with that runtime; "mapped" is runc as it is now."""
    name: str = request.param
    config: dict[str, Any] = {"image": pulling, "runtime": {"default_handler": name}}
    if name == "mapped":
        if not (TOOLS / "runc").exists():
            pytest.skip("no current runc is built: hack/tools runc does it, with Go")
        config["runtime"]["handlers"] = {name: {"path": str(TOOLS / "runc")}}
    with serving(tmp_path_factory.mktemp("server"), config, wrapper=private()) as running:
        yield running


@dataclass
class Trap:
    """A pod, and a directory of the host that links lead to."""

    client: Client
    registry: Registry
    pod_id: str
    pod: pb.PodSandboxConfig
    bait: Path
    given: Path

    def image(self, name: str, links: Mapping[str, Node], **config: Any) -> str:
        """busybox in which `links` stand for what was there."""
        tree = {path: node for path, node in busybox_tree().items() if path.rstrip("/") not in links}
        self.registry.push(f"hostile/{name}", image(tar({**tree, **links}), config={"Cmd": ["sh"], **config}), "1")
        reference = f"docker.io/hostile/{name}:1"
        cri.pull(self.client, reference)
        return reference

    def start(self, reference: str, **more: Any) -> str:
        """A started container, "" when it is refused."""
        wish = container_config(f"c{os.urandom(4).hex()}", "sleep", "1000", image=reference)
        wish.MergeFrom(pb.ContainerConfig(**more))
        with contextlib.suppress(grpc.RpcError):
            container_id = cri.create(self.client, self.pod_id, wish, self.pod)
            cri.start(self.client, container_id)
            return container_id
        return ""

    def sh(self, container_id: str, script: str) -> str:
        """What a shell in the container writes, errors included."""
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", f"{{ {script}; }} 2>&1"], timeout=20)
        return str(self.client("ExecSync", request).stdout.decode())

    def check(self) -> None:
        """The bait was not taken."""
        assert [path.name for path in self.bait.iterdir()] == ["secret"]
        assert (self.bait / "secret").read_text() == SECRET
        assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.bait) in line]


@pytest.fixture
def trap(server: Server, registry: Registry, logs: Path, tmp_path: Path) -> Iterator[Trap]:
    bait, given = tmp_path / "bait", tmp_path / "given"
    for path in (bait, given):
        path.mkdir()
    (bait / "secret").write_text(SECRET)
    (given / "file").write_text("given")
    config = pod_config(f"trap{os.urandom(4).hex()}", logs)
    if server.config["runtime"]["default_handler"] == "mapped":
        userns = pb.UserNamespace(mode=pb.NamespaceMode.POD, uids=[IDS], gids=[IDS])
        config.linux.security_context.namespace_options.userns_options.CopyFrom(userns)
    with server.client() as client:
        pod_id = cri.run(client, config)
        made = Trap(client, registry, pod_id, config, bait, given)
        yield made
        made.check()
        cri.remove_pod(client, pod_id)


def away(path: Path, how: str) -> Node:
    """A link to a path of the host."""
    return symlink(str(path) if how == "absolute" else "../" * 40 + str(path).lstrip("/"))


LINKS = pytest.mark.parametrize("how", ["absolute", "relative"])


@LINKS
@pytest.mark.parametrize("destination", ["/link", "/link/deep", "/link/deep/er"])
def test_destination_of_a_mount(trap: Trap, how: str, destination: str) -> None:
    reference = trap.image(f"mount-{how}", {"link": away(trap.bait, how)})
    mount = pb.Mount(host_path=str(trap.given), container_path=destination)
    if container_id := trap.start(reference, mounts=[mount]):
        trap.check()
        assert trap.sh(container_id, f"cat {destination}/file") == "given"
        assert SECRET not in trap.sh(container_id, "cat /link/secret")


@LINKS
def test_destination_of_a_file(trap: Trap, how: str) -> None:
    reference = trap.image(f"file-{how}", {"file": away(trap.bait / "secret", how)})
    mount = pb.Mount(host_path=str(trap.given / "file"), container_path="/file")
    if container_id := trap.start(reference, mounts=[mount]):
        trap.check()
        assert trap.sh(container_id, "cat /file") == "given"
        trap.sh(container_id, "echo more >/file")


@LINKS
@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf", "mtab"])
def test_files_of_the_pod(trap: Trap, how: str, name: str) -> None:
    reference = trap.image(f"etc-{name}-{how}", {f"etc/{name}": away(trap.bait / "secret", how)})
    if container_id := trap.start(reference):
        trap.check()
        assert SECRET not in trap.sh(container_id, f"cat /etc/{name}; echo more >/etc/{name}")


@LINKS
def test_all_of_etc(trap: Trap, how: str) -> None:
    files = [path for path in busybox_tree() if path.startswith("etc/")]
    tree = {path: node for path, node in busybox_tree().items() if path not in files and path.rstrip("/") != "etc"}
    trap.registry.push(f"hostile/etc-{how}", image(tar({**tree, "etc": away(trap.bait, how)}), config={}), "1")
    cri.pull(trap.client, f"docker.io/hostile/etc-{how}:1")
    trap.start(f"docker.io/hostile/etc-{how}:1")


@LINKS
@pytest.mark.parametrize("directory", ["/link", "/link/made", "/link/made/deep"])
@pytest.mark.parametrize("who", ["image", "request"])
def test_working_directory(trap: Trap, how: str, directory: str, who: str) -> None:
    config = {"WorkingDir": directory} if who == "image" else {}
    links = {"link": away(trap.bait, how)}
    reference = trap.image(f"cwd-{how}-{who}-{directory.count('/')}", links, **config)
    if container_id := trap.start(reference, working_dir="" if who == "image" else directory):
        trap.check()
        assert SECRET not in trap.sh(container_id, "cat secret; touch made")


@LINKS
def test_place_of_a_device(trap: Trap, how: str) -> None:
    reference = trap.image(f"device-{how}", {"link": away(trap.bait, how)})
    device = pb.Device(host_path="/dev/null", container_path="/link/null", permissions="rw")
    trap.start(reference, devices=[device])


@LINKS
def test_volume_of_the_image(trap: Trap, how: str) -> None:
    reference = trap.image(f"volume-{how}", {"link": away(trap.bait, how)}, Volumes={"/link": {}, "/link/deep": {}})
    if container_id := trap.start(reference):
        trap.check()
        assert SECRET not in trap.sh(container_id, "cat /link/secret /link/*; touch /link/made /link/deep/made")


@LINKS
def test_image_volume_and_its_place(trap: Trap, how: str) -> None:
    reference = trap.image(f"image-{how}", {"link": away(trap.bait, how)})
    mounts = [
        pb.Mount(container_path="/link/here", image=pb.ImageSpec(image=reference)),
        pb.Mount(container_path="/there", image=pb.ImageSpec(image=reference), image_sub_path="link"),
    ]
    for mount in mounts:
        if container_id := trap.start(reference, mounts=[mount]):
            trap.check()
            assert SECRET not in trap.sh(container_id, f"cat {mount.container_path}/link/secret")


@LINKS
@pytest.mark.parametrize("masked", [True, False])
def test_masked_and_readonly_paths(trap: Trap, how: str, masked: bool) -> None:
    reference = trap.image(f"mask-{how}", {"link": away(trap.bait, how)})
    security = pb.LinuxContainerSecurityContext()
    (security.masked_paths if masked else security.readonly_paths).append("/link")
    trap.start(reference, linux=pb.LinuxContainerConfig(security_context=security))


@pytest.mark.parametrize("loop", [{"a": symlink("b"), "b": symlink("a")}, {"a": symlink("a/a")}])
def test_links_without_an_end(trap: Trap, loop: dict[str, Node]) -> None:
    reference = trap.image(f"loop-{len(loop)}", loop)
    mount = pb.Mount(host_path=str(trap.given), container_path="/a/deep")
    trap.start(reference, mounts=[mount], working_dir="/a")
