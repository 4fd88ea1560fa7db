"""`criserver check` against a running server: silent on a healthy node, and not when it is broken on purpose.

Here is what the unit tests' fakes stand for: every kind of thing is found on a real node, and given back.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.images import file, image
from tests.support.machine import systemd_driver
from tests.support.registry import Registry
from tests.support.server import PROJECT, Client, Server

STRAY, OTHER = "d" * 64, "e" * 64


@pytest.fixture(scope="module")
def server(base: Path, pulling: Mapping[str, str], registry: Registry) -> Iterator[Server]:
    registry.push("test/volume", image({"file": file("volume")}), "latest")
    registry.push("test/app", image({"a": file("a" * 1000), "b": file("b")}), "latest")
    with serving(base, {"image": pulling}) as running:
        with running.client() as client:
            cri.pull(client)
            cri.pull(client, "docker.io/test/volume:latest")
        yield running


def check(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "criserver", "check", "--listen", server.socket, *options]
    return subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT, check=False, timeout=60)


def found(server: Server, *options: str) -> dict[str, Any]:
    done = check(server, "--json", *options)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if answer["findings"] else 0), done.stderr
    return answer


def wrong(server: Server, *options: str) -> set[tuple[str, str, str]]:
    """What is found, as (verdict, what, owner)."""
    return {(each["verdict"], each["what"], each["owner"]) for each in found(server, *options)["findings"]}


@pytest.fixture
def pods(server: Server, client: Client) -> Iterator[dict[str, str]]:
    """Pods and containers of every kind and state, by name; all are gone afterwards."""
    ids = {}
    shared, host = pod_config("shared"), pod_config("host")
    shared.linux.security_context.namespace_options.pid = pb.NamespaceMode.POD
    for kind in ("network", "ipc", "pid"):
        setattr(host.linux.security_context.namespace_options, kind, pb.NamespaceMode.NODE)
    for wish in (pod_config("web"), shared, host, pod_config("stopped")):
        ids[wish.metadata.name] = cri.run(client, wish)
    for pod, name in (("web", "main"), ("web", "created"), ("web", "exited"), ("shared", "sidecar"), ("host", "agent")):
        config = container_config(name, *(["true"] if name == "exited" else ["sleep", "1000"]))
        if name == "main":
            volume = pb.ImageSpec(image="docker.io/test/volume:latest")
            config.mounts.append(pb.Mount(container_path="/volume", image=volume))
        ids[name] = cri.create(client, ids[pod], config, pod_config(pod))
        if name != "created":
            cri.start(client, ids[name])
    client("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=ids["stopped"]))
    exited = pb.ContainerState.CONTAINER_EXITED
    server.wait_until(lambda: cri.status(client, ids["exited"]).state == exited, 10, "the container to end")
    yield ids
    server.empty()


def test_a_healthy_node_in_every_state(server: Server, pods: dict[str, str]) -> None:
    done = check(server)
    assert (done.stdout, done.stderr, done.returncode) == ("everything is in order\n", "", 0)


def test_what_pods_have_lost_is_told(server: Server, pods: dict[str, str]) -> None:
    web, shared = (server.state / "sandboxes" / pods[name] for name in ("web", "shared"))
    kept = server.base / "kept"
    kept.touch()
    # Plugins cannot take everything back without it.
    subprocess.run(["mount", "--bind", shared / "ns" / "net", kept], check=True)
    for target in (web / "shm", web / "ns" / "ipc", shared / "ns" / "net"):
        subprocess.run(["umount", target], check=True)
    for name in (web / "hosts", web / "resolv.conf", web / "hostname"):
        name.unlink()
    (web / "shm").rmdir()
    os.kill(next(pid for pid in server.processes() if b"pod-init" in cmdline(pid)), signal.SIGKILL)
    remembered = next((server.root / "cni").glob(f"*{pods['shared']}*"))
    remembered.rename(server.base / "aside")
    told = wrong(server)
    shown = check(server)
    (server.base / "aside").rename(remembered)
    subprocess.run(["mount", "--bind", kept, shared / "ns" / "net"], check=True)
    subprocess.run(["umount", kept], check=True)
    assert told >= {
        ("missing", "/dev/shm mount", "default/web"),
        ("missing", "ipc namespace", "default/web"),
        ("missing", "pod files", "default/web"),
        ("missing", "network namespace", "default/shared"),
        ("missing", "pod init", "default/shared"),
        ("missing", "network attachment", "default/shared"),
    }
    assert "  ipc namespace of default/web  (id " in shown.stdout
    assert shown.returncode == 1


def test_what_containers_have_lost_is_told(server: Server, pods: dict[str, str]) -> None:
    main = pods["main"]
    subprocess.run(["umount", "-l", server.state / "containers" / main / "rootfs"], check=True)
    subprocess.run(["umount", server.state / "volumes" / main / "0"], check=True)
    (server.state / "runtime" / "runc" / main).rename(server.base / "aside")
    (monitor,) = (server.state / "zygote" / "monitors").glob(f"*.monitor.{main}")
    os.kill(int(monitor.name.partition(".")[0]), signal.SIGKILL)
    owner = "default/web/main"
    kinds = {"root mount", "image volume", "runtime record", "monitor"}
    try:
        assert wrong(server) == {("missing", what, owner) for what in kinds}
    finally:
        (server.base / "aside").rename(server.state / "runtime" / "runc" / main)


def test_left_overs_are_told_with_their_owners_and_given_back(server: Server, pods: dict[str, str]) -> None:
    """Everything of a pod and of a container without rows, and what is no one's."""
    before = server.left()
    strew(server)
    things = {
        (each["what"], each["owner"]) for each in found(server)["findings"] if each["verdict"] == "left over"
    }
    pod, container = STRAY[:13], OTHER[:13]
    assert things == {
        ("network namespace", pod), ("/dev/shm mount", pod), ("pod files", pod), ("pod cgroup", pod),
        ("bundle", container), ("root mount", container), ("writable layer", container), ("image volume", container),
        ("monitor files", container), ("layer tree", "nobody"), ("pull directory", "nobody"),
    }  # fmt: skip
    answer = found(server, "--repair")
    assert answer["findings"] == []
    assert f"gave back what was left of {STRAY}" in answer["done"]
    assert server.left() == before
    assert wrong(server) == set()


def strew(server: Server) -> None:
    pod, container = server.state / "sandboxes" / STRAY, server.state / "containers" / OTHER
    for directory in (pod / "ns", pod / "shm", container / "monitor", container / "rootfs"):
        directory.mkdir(parents=True)
    (server.state / "volumes" / OTHER / "0").mkdir(parents=True)
    (pod / "ns" / "net").touch()
    (pod / "hosts").touch()
    (container / "config.json").write_text("{}")
    (server.root / "containers" / OTHER / "upper" / "deep").mkdir(parents=True)
    for target in (pod / "shm", container / "rootfs", server.state / "volumes" / OTHER / "0"):
        subprocess.run(["mount", "-t", "tmpfs", "criserver-test", target], check=True)
    subprocess.run(["unshare", "-n", "mount", "--bind", "/proc/self/ns/net", pod / "ns" / "net"], check=True)
    strew_cgroup()
    (server.root / "layers" / "4711" / "etc").mkdir(parents=True)
    (server.root / "tmp" / "pull-old").mkdir()


def strew_cgroup() -> None:
    if systemd_driver():
        subprocess.run(["systemctl", "start", f"criserverpod{STRAY}.slice"], check=True)
        return
    top = Path("/sys/fs/cgroup")
    hierarchy = next(path for path in (top, *top.glob("*")) if (path / "criserver-pods").is_dir())
    (hierarchy / "criserver-pods" / f"pod{STRAY}").mkdir()


def test_a_lease_of_an_address_that_nobody_has(server: Server, pods: dict[str, str]) -> None:
    lease = server.ipam / server.bridge / f"{server.subnet}200"
    lease.write_text(f"{STRAY}\r\neth0")
    (finding,) = found(server)["findings"]
    assert (finding["what"], finding["id"], finding["where"]) == ("address lease", STRAY, str(lease))
    assert "remove the file" in finding["hint"]
    lease.unlink()


def layer_of(server: Server, client: Client, name: str) -> Path:
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=name), verbose=True)
    return server.root / "layers" / str(json.loads(client("ImageStatus", request).info["info"])["layers"][-1])


APP = "docker.io/test/app:latest"


def test_a_damaged_image_is_told_and_pulled_again(server: Server, client: Client) -> None:
    image_id = cri.pull(client, APP)
    os.truncate(layer_of(server, client, APP) / "a", 10)
    (finding,) = found(server)["findings"]
    assert (finding["verdict"], finding["what"], finding["owner"]) == ("damaged", "image", APP)
    assert "sizes or times of its files have changed" in finding["where"]
    answer = found(server, "--repair")
    assert answer == {"findings": [], "done": [f"image {APP} is pulled again"]}
    assert (layer_of(server, client, APP) / "a").read_text() == "a" * 1000
    status = client("ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=APP))).image
    assert (status.id, list(status.repo_tags)) == (image_id, [APP])


def test_an_image_in_use_is_left_alone(server: Server, client: Client, pods: dict[str, str]) -> None:
    (layer_of(server, client, cri.BUSYBOX) / "added").touch()
    answer = found(server, "--repair")
    assert [(each["verdict"], each["owner"]) for each in answer["findings"]] == [("damaged", cri.BUSYBOX)]
    (line,) = answer["done"]
    assert line.startswith(f"image {cri.BUSYBOX} is left as it is: container:")
    server.empty()
    assert found(server, "--repair")["findings"] == []


def test_an_image_that_cannot_be_pulled_again_is_removed(
    server: Server, client: Client, registry: Registry
) -> None:
    name = "docker.io/test/passing:latest"
    registry.push("test/passing", image({"x": file("only here")}), "latest")
    cri.pull(client, name)
    (layer_of(server, client, name) / "x").unlink()
    shutil.rmtree(registry.directory / "data/docker/registry/v2/repositories/test/passing")
    (line,) = found(server, "--repair")["done"]
    assert line.startswith(f"image {name} is removed: it cannot be pulled: ")
    assert client("ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=name))).image.id == ""


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = check(Server(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("criserver: cannot check: no server answers")


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return b""
