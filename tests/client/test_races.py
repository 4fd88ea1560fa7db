"""Races for the place of a mount: links are swapped in a volume while containers are made that have mounts in it.

`make test-races` takes the time for a thousand rounds with each runtime.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from criserver.doctor.runtimes import STEADFAST
from criserver.drivers.runtime import words
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.crictl import TOOLS
from tests.support.critest import private
from tests.support.server import Client, Server

ROUNDS = int(os.environ.get("CRISERVER_RACE_ROUNDS", "20"))
SECRET = "of the host"
# As a container with the same volume would do it: renameat2(2) with RENAME_EXCHANGE, as often as it can.
SWAP = """
import ctypes, sys
swap = ctypes.CDLL(None).renameat2
one, other = (f"{sys.argv[1]}/{name}".encode() for name in ("swapped", "other"))
while True:
    swap(-100, one, -100, other, 2)
"""


@pytest.fixture(scope="module", params=["runc", "crun", "runc-current"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    name: str = request.param
    runtime: dict[str, Any] = {"default_handler": name}
    if name == "runc-current":
        if not (TOOLS / "runc").exists():
            pytest.skip("no current runc is built: hack/tools runc does it, with Go")
        runtime["handlers"] = {name: {"path": str(TOOLS / "runc")}}
    with serving(tmp_path_factory.mktemp("races"), {"image": pulling, "runtime": runtime}, wrapper=private()) as made:
        with made.client() as client:
            cri.pull(client)
        yield made


def follows_swapped_links(server: Server) -> bool:
    """Whether the runtime is runc before 1.1.14: nothing above it can keep it from CVE-2024-45310; the doctor tells."""
    if server.config["runtime"]["default_handler"] != "runc":
        return False
    told = subprocess.run(["runc", "--version"], capture_output=True, check=True).stdout
    return words.release(words.version(told)) < STEADFAST


@contextlib.contextmanager
def swapping(volume: Path) -> Iterator[None]:
    """While this lasts, a directory of the volume and a link to the host change places."""
    swapper = subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(volume)])
    try:
        yield
        assert swapper.poll() is None
    finally:
        swapper.kill()
        swapper.wait()


def attempt(client: Client, pod_id: str, pod: pb.PodSandboxConfig, wish: pb.ContainerConfig) -> str:
    """What a container with that wish sees of the host's secret and of its mounts; "" when it is refused."""
    script = f"grep '{SECRET}' -r /volume; grep ' /volume' /proc/self/mountinfo; cat /proc/1/attr/current 2>/dev/null"
    container_id = ""
    try:
        container_id = cri.create(client, pod_id, wish, pod)
        cri.start(client, container_id)
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", f"echo seen; {script}"], timeout=60)
        return str(client("ExecSync", request).stdout.decode())
    except grpc.RpcError:
        return ""  # the race was lost to an error: as good
    finally:
        client("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id))


@pytest.mark.timeout(180 + 10 * ROUNDS)
@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_cve_2021_30465_2024_45310_2025_52881_links_swapped_in_a_volume(
    server: Server, client: Client, tmp_path: Path, link: str
) -> None:
    volume, outside, given = (tmp_path / name for name in ("volume", "outside", "given"))
    for path in (volume / "swapped", outside, given):
        path.mkdir(parents=True)
    (outside / "secret").write_text(SECRET)
    (given / "file").write_text("given")
    (volume / "other").symlink_to(outside if link == "absolute" else "../" * 40 + str(outside).lstrip("/"))
    pod = pod_config(f"race-{link}")
    pod_id = cri.run(client, pod)
    seen: list[str] = []
    with swapping(volume):
        while len(seen) < ROUNDS // 2 or not any(seen):  # most are refused; one at least shows what it got
            wish = container_config(f"c{len(seen)}", "sleep", "1000")
            wish.mounts.add(host_path=str(volume), container_path="/volume")
            wish.mounts.add(host_path=str(given), container_path="/volume/swapped/deep")
            seen.append(attempt(client, pod_id, pod, wish))
    cri.remove_pod(client, pod_id)
    for text in filter(None, seen):
        assert SECRET not in text and str(outside) not in text
        assert "system_u" not in text or "container_t" in text
    assert (outside / "secret").read_text() == SECRET
    made = {path.name for path in outside.iterdir()} - {"secret"}
    if follows_swapped_links(server):
        assert made <= {"deep"} and not list(outside.glob("deep/*")), "no more than an empty directory (CVE-2024-45310)"
    else:
        assert not made, "nothing is made on the host"
    assert str(outside) not in Path("/proc/self/mountinfo").read_text()
