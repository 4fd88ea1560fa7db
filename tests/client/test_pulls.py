"""Pulls as the operator sees them: how far they are, in a cgroup of their own that goes when the server stops."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import grpc

from criserver.api.pb import api_pb2 as pb
from criserver.kernel import cgroupfs
from tests.client.conftest import serving
from tests.support import bad_registry as bad
from tests.support.bad_registry import PASSWORD, USER, BadRegistry
from tests.support.images import file, image
from tests.support.machine import slowness, systemd_driver
from tests.support.server import PROJECT, Server


def cgroup(server: Server) -> str:
    """Where the server's pulls are."""
    name = f"criserver-pulls-{hashlib.sha256(str(server.state).encode()).hexdigest()[:8]}"
    return f"/system.slice/{name}.scope" if systemd_driver() else f"/{name}"


def members(server: Server) -> set[str]:
    """Programs in that cgroup."""
    name, found = cgroup(server), set()
    for hierarchy in cgroupfs.hierarchies():
        for pid in cgroupfs.processes(hierarchy, name) if cgroupfs.exists(hierarchy, name) else ():
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def left(server: Server) -> bool:
    return any(cgroupfs.exists(hierarchy, cgroup(server)) for hierarchy in cgroupfs.hierarchies())


def listed(server: Server) -> str:
    command = [sys.executable, "-m", "criserver", "pulls", "--listen", server.socket]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


def test_a_pull_is_seen_and_confined(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    stalled = round(3 * slowness())  # seconds; long enough for commands to be run meanwhile
    with BadRegistry(image({"big": file(bytes(100_000))})) as registry:
        registry.spoil["layer"] = bad.stalled
        conf = registry.registries_conf(tmp_path / "bad.conf")
        config = {"image": {**pulling, "registries_conf": str(conf), "pull_progress_timeout": stalled}}
        with serving(tmp_path / "server", config) as server, server.client() as client:
            assert listed(server) == ""
            name = f"{registry.address}/app:1"
            failed: list[str] = []

            def pull() -> None:
                auth = pb.AuthConfig(username=USER, password=PASSWORD)
                try:
                    client("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=name), auth=auth))
                except grpc.RpcError as error:
                    failed.append(str(error))

            thread = threading.Thread(target=pull)
            thread.start()
            server.wait_until(lambda: "unpack" in listed(server), 10, "the pull is listed")
            assert listed(server).startswith(f"{name}  unpack  0/1 layers")
            assert "skopeo" in members(server)
            thread.join()
            assert f"nothing came for {stalled} s" in failed[0]
            assert listed(server) == ""
            server.stop()
            assert not left(server)
            server.start()
