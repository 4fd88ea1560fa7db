"""The servers that are measured: each with private directories, the same runc, and a bridge network of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from criserver.api import admin
from criserver.api.pb import api_pb2 as cri
from criserver.api.pb.api_pb2_grpc import RuntimeServiceStub
from criserver.cli.demo import archive
from tests.support.server import PROJECT, conflist

IMAGE = "localhost/bench:latest"
PAUSE = "localhost/pause:latest"
TOOLS = Path(os.environ.get("CRISERVER_TOOLS", Path.home() / ".cache/criserver/tools")) / "bin"

# containerd 2 reads version 3; clamping the OOM score lets it run where CAP_SYS_RESOURCE is missing.
CONTAINERD = """\
version = 3
root = "{base}/root"
state = "{base}/state"
[grpc]
address = "{base}/cri.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]
conf_dir = "{base}/net.d"
"""


@dataclass(frozen=True)
class Server:
    """A running server: its socket, and the directory that the command line of each of its processes names."""

    name: str
    base: Path
    stub: Any
    channel: grpc.Channel
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Its processes: daemon, zygote, monitors or shims; not those of containers."""
        found = []
        for entry in filter(str.isdecimal, os.listdir("/proc")):
            try:
                command = Path("/proc", entry, "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.base).encode() in command:
                found.append(int(entry))
        return found


def containerd() -> str | None:
    """The containerd to measure against: the one that hack/tools builds, or one of version 2 in PATH."""
    for path in (str(TOOLS / "containerd"), shutil.which("containerd")):
        if path and os.path.exists(path) and " v2." in _output(path, "--version"):
            return path
    return None


@contextmanager
def criserver(
    base: Path, module: Sequence[str] = ("-m", "criserver"), image: Mapping[str, object] | None = None
) -> Iterator[Server]:
    """This project's server; `module` is what Python runs, `image` its configuration of that name."""
    config = {
        "listen": f"unix://{base}/cri.sock",
        "root": f"{base}/root",
        "state": f"{base}/state",
        "network": {"conf_dir": str(_network(base, bridge(base)))},
        "log_level": "warning",
        "image": dict(image or {}),
    }
    (base / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    command = [sys.executable, *module, "serve", "--config", str(base / "config.yaml")]
    with _running("criserver", base, command) as server:
        admin.call(server.channel, "Load", {"path": str(_image(base, IMAGE))})
        yield server


@contextmanager
def containerd_server(base: Path, program: str) -> Iterator[Server]:
    """containerd with its own pause image, which here is busybox that sleeps."""
    _network(base, bridge(base))
    (base / "config.toml").write_text(CONTAINERD.format(base=base, pause=PAUSE))
    path = f"{os.path.dirname(program)}:{os.environ['PATH']}"
    with _running("containerd", base, [program, "--config", str(base / "config.toml")], path) as server:
        for reference in (IMAGE, PAUSE):
            ctr = [shutil.which("ctr", path=path) or "ctr", "--address", f"{base}/cri.sock", "--namespace", "k8s.io"]
            subprocess.run([*ctr, "images", "import", str(_image(base, reference))], check=True, capture_output=True)
        yield server


@contextmanager
def _running(name: str, base: Path, command: list[str], path: str | None = None) -> Iterator[Server]:
    environment = dict(os.environ) | ({"PATH": path} if path else {})
    with open(base / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=PROJECT
        )
    channel = grpc.insecure_channel(f"unix://{base}/cri.sock")
    stub: Any = RuntimeServiceStub(channel)  # type: ignore[arg-type] # typed for asyncio's channels
    server = Server(name, base, stub, channel, process)
    try:
        while not (base / "cri.sock").exists():
            if process.poll() is not None:
                raise SystemExit(f"{name} does not start:\n{(base / 'server.log').read_text()}")
            time.sleep(0.05)
        grpc.channel_ready_future(channel).result(timeout=30)
        try:
            yield server
        finally:
            _empty(stub)
    finally:
        channel.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            for pid in server.pids():  # the zygote outlives its server
                os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "link", "delete", bridge(base)], check=False, capture_output=True)


def _empty(stub: Any) -> None:
    """Take away the pods that a measurement which failed has left."""
    for sandbox in stub.ListPodSandbox(cri.ListPodSandboxRequest(), timeout=60).items:
        stub.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=sandbox.id), timeout=60)
        stub.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox.id), timeout=60)


def bridge(base: Path) -> str:
    """The name of the bridge of the server in *base*: another one for each run and server, 15 bytes at most."""
    return f"bench{zlib.crc32(str(base).encode()):08x}"


def _network(base: Path, name: str) -> Path:
    """A network of 4,096 addresses; which, the name decides, so that runs side by side seldom meet."""
    directory = base / "net.d"
    directory.mkdir(parents=True)
    number = int(name[-3:], 16)
    network = conflist(name, name, f"10.{192 + number // 64}.{number % 16 * 16}.0/20", base / "leases")
    (directory / "10-bench.conflist").write_text(json.dumps(network))
    return directory


def _image(base: Path, reference: str) -> Path:
    path = base / f"{reference.partition('/')[2].partition(':')[0]}.tar"
    archive.write(str(path), reference, {}, ("sleep", "2147483647"), archive.find_busybox())
    return path


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
