"""A server's directories of one's own, a layer of the machine's busybox, containers in them; nothing is left of all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conmon.client import Zygote
from criserver.drivers.monitors.monitor import ConmonMonitors
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.drivers.roots.overlay import OverlayRootfs
from criserver.drivers.runtime.runc import HandlerConfig, OciRuntime, open_runtime
from criserver.kernel import cgroupfs, mount, process
from criserver.kernel.trees import remove_tree
from criserver.model.security import Idmap, IdMapping, NamespaceMode, UserNamespace
from criserver.ports.monitor import MonitorRequest

APPLETS = ("sh", "cat", "echo", "sleep", "head", "id", "setsid", "kill", "mkdir", "ls", "touch", "ps", "true")


@dataclass(frozen=True)
class Place:
    """Directories of a server: `root` survives a reboot, `state` does not."""

    root: Path
    state: Path

    def layer(self, number: int, **files: str) -> Path:
        """Make an image layer of files (name → content)."""
        directory = self.root / "layers" / str(number)
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        for name, content in files.items():
            (directory / name).write_text(content)
        return directory

    def busybox(self, number: int) -> None:
        """Make an image layer with a shell and its like."""
        program = shutil.which("busybox")
        if program is None:
            pytest.skip("busybox is missing (apt-get install busybox-static)")
        binaries = self.layer(number) / "bin"
        binaries.mkdir()
        shutil.copy(program, binaries / "busybox")
        for applet in APPLETS:
            os.link(binaries / "busybox", binaries / applet)

    def mounted(self) -> list[str]:
        """What is mounted below, innermost first."""
        below = (str(self.root) + "/", str(self.state) + "/")
        return [entry.target for entry in reversed(mount.mounts()) if entry.target.startswith(below)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Fresh directories; in the end nothing is mounted below them."""
    made = Place(tmp_path / "root", tmp_path / "state")
    made.root.mkdir(mode=0o700)
    made.state.mkdir(mode=0o700)
    yield made
    for target in made.mounted():
        mount.unmount(target)
    remove_tree(str(made.root))


@pytest.fixture
async def zygote(place: Place) -> AsyncIterator[Zygote]:
    """A zygote of the test's own."""
    made = Zygote(place.state / "zygote")
    await made.ensure()
    yield made
    await made.quit()


MAPPED = UserNamespace(NamespaceMode.POD, (IdMapping(100000, 0, 65536),), (IdMapping(200000, 0, 65536),))
"""Users and groups of the same number are others on the host."""


@pytest.fixture
async def idmap(place: Place, zygote: Zygote) -> AsyncIterator[Idmap]:
    """A pinned user namespace with the ids of MAPPED."""
    driver = PinnedNamespaces(str(place.state), zygote)
    await driver.pin("mapped", set(), userns=MAPPED)
    yield Idmap(driver.path("mapped", "user"), MAPPED)
    await driver.unpin("mapped")


@pytest.fixture(params=["runc", "crun"])
async def runtime(request: pytest.FixtureRequest, place: Place) -> OciRuntime:
    """A real runtime as the only handler; skipped when it is not there, or cannot work on this machine."""
    name = request.param
    opened = await open_runtime(
        {name: HandlerConfig("oci", name)}, default=name, state=str(place.state), cgroup_driver="cgroupfs"
    )
    if not opened.handlers():
        pytest.skip(f"{name} is missing (apt-get install {name})")
    if name == "crun" and not crun_works():
        pytest.skip("crun refuses cgroup v1 beside a cgroup2 mount that has controllers")
    return opened


def crun_works() -> bool:
    """crun takes v1 or v2, but not v1 with anything left on v2."""
    found = cgroupfs.hierarchies()
    mixed = {hierarchy.version for hierarchy in found} == {1, 2}
    return not mixed or not any(hierarchy.controllers for hierarchy in found if hierarchy.version == 2)


class Bench:
    """Containers under real monitors, with all that the monitor driver leaves to others."""

    def __init__(self, place: Place, runtime: OciRuntime) -> None:
        self.place, self.runtime = place, runtime
        self.hierarchies = cgroupfs.hierarchies()
        self.monitors = ConmonMonitors(str(place.state), self.hierarchies)
        self.handler = runtime.handler("")
        self.parent = f"/criserver-test-{os.getpid()}-{os.urandom(4).hex()}"
        self.rootfs = OverlayRootfs(str(place.root), str(place.state))
        self.spec: dict[str, Any] = {}
        self.logs = place.state.parent / "logs"
        self.logs.mkdir()

    async def open(self) -> None:
        """Make what containers need."""
        self.place.busybox(1)
        await process.run([process.find_program("runc"), "spec"], cwd=str(self.logs))
        self.spec = json.loads((self.logs / "config.json").read_text())
        self.spec["linux"]["resources"] = {}
        await self.monitors.start()

    async def bundle(self, container_id: str, *command: str, share_pid: bool = False) -> None:
        """Mount the root and write config.json."""
        rootfs = await self.rootfs.mount(container_id, (1,))
        spec = json.loads(json.dumps(self.spec))
        spec["root"] = {"path": rootfs, "readonly": False}
        spec["process"] |= {"terminal": False, "args": list(command)}
        spec["linux"]["cgroupsPath"] = f"{self.parent}/criserver-{container_id}"
        if share_pid:
            spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]
        Path(self.directory(container_id), "config.json").write_text(json.dumps(spec))

    def directory(self, container_id: str) -> str:
        """The container's bundle."""
        return f"{self.place.state}/containers/{container_id}"

    def request(self, container_id: str, **more: Any) -> MonitorRequest:
        """What to ask of the monitor driver."""
        log = str(self.logs / container_id)
        return MonitorRequest(container_id, self.directory(container_id), self.handler.command, log, **more)

    async def create(self, container_id: str, *command: str, share_pid: bool = False) -> int:
        """Create a container; the pid of its init."""
        await self.bundle(container_id, *command, share_pid=share_pid)
        return await self.monitors.create(self.request(container_id))

    async def start(self, container_id: str, *command: str, share_pid: bool = False) -> int:
        """Create and start a container; the pid of its init."""
        pid = await self.create(container_id, *command, share_pid=share_pid)
        await self.runtime.start("", container_id)
        return pid

    def log(self, container_id: str) -> list[str]:
        """The log's lines, without time, stream and tag."""
        return [line.split(" ", 3)[3] for line in (self.logs / container_id).read_text().splitlines()]

    def process(self, *command: str) -> str:
        """An OCI process document for an exec."""
        return json.dumps(self.spec["process"] | {"terminal": False, "args": list(command)})

    def zygote(self) -> int:
        """The zygote's pid; 0 when none lives."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if command.rstrip(b"\0").endswith(os.fsencode(self.place.state / "zygote")):
                    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
                    if parent == "1":
                        return int(pid)
        return 0

    async def close(self) -> None:
        """Take every container away, then the zygote."""
        try:
            for directory in (self.place.state / "containers").glob("*"):
                await self.runtime.delete("", directory.name)
                await self.monitors.forget(directory.name)
        finally:
            self.monitors._let_go()
            cgroupfs.kill(self.hierarchies, self.parent)
            left = [hierarchy for hierarchy in self.hierarchies if not cgroupfs.remove(hierarchy, self.parent)]
            if pid := self.zygote():
                os.kill(pid, signal.SIGKILL)  # it ends on nothing less
        assert left == []


@pytest.fixture
async def bench(place: Place, runtime: OciRuntime) -> AsyncIterator[Bench]:
    """A bench on either runtime."""
    made = Bench(place, runtime)
    try:
        await made.open()
        yield made
    finally:
        await made.close()
