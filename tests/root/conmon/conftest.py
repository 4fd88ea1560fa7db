"""A private zygote, bundles made from the machine's busybox, and a cleanup that ends all of it, for the root tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conmon.client import ContainerSpec, ExecSpec, Monitor, StateRecord, Zygote
from conmon.records import ExitRecord
from tests.support.machine import cgroup_tops, slowness

BUSYBOX = Path("/bin/busybox")
RUNC = "/usr/sbin/runc"
CRUN = "/usr/bin/crun"
LINE = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) (.*)$")
_numbers = itertools.count()


@dataclass
class Container:
    """A created container and its monitor."""

    state: StateRecord
    monitor: Monitor
    directory: Path
    log: Path

    def contents(self, log: Path | None = None) -> list[tuple[str, str, str]]:
        """Stream, tag and text of each line of its log, or of another one."""
        found = []
        for line in (log or self.log).read_bytes().splitlines():
            match = LINE.match(line)
            assert match, line
            found.append((match[1].decode(), match[2].decode(), match[3].decode()))
        return found


@dataclass
class World:
    """A zygote, a runtime's root, and the containers of one test."""

    base: Path
    runtime: tuple[str, ...]
    #: Cgroup of this test's containers, one name in every hierarchy.
    cgroup: str
    zygote: Zygote
    containers: list[str] = field(default_factory=list)

    def bundle(self, args: list[str], **process: Any) -> Path:
        """A bundle that runs *args*; *process* goes into config.json's process, ``mutate`` changes the whole of it."""
        mutate = process.pop("mutate", None)
        bundle = self.base / f"bundle-{next(_numbers)}"
        (bundle / "rootfs/bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, bundle / "rootfs/bin/busybox")
        for applet in ("sh", "sleep", "cat", "echo", "kill", "setsid", "yes", "stty", "dd", "ls", "tail"):
            os.link(bundle / "rootfs/bin/busybox", bundle / f"rootfs/bin/{applet}")
        subprocess.run([RUNC, "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update({"terminal": False, "args": args, **process})
        config["linux"]["cgroupsPath"] = f"{self.cgroup}/{bundle.name}"
        if mutate:
            mutate(config)
        (bundle / "config.json").write_text(json.dumps(config))
        return bundle

    def spec(self, bundle: Path, **fields: Any) -> ContainerSpec:
        """A spec for *bundle* in a directory of its own, with a log."""
        name = f"t{os.getpid()}-{next(_numbers)}"
        directory = self.base / name
        directory.mkdir(mode=0o700)
        self.containers.append(name)
        known: dict[str, Any] = {
            "id": name,
            "directory": str(directory),
            "bundle": str(bundle),
            "runtime": self.runtime,
            "log_path": str(directory / "log"),
        }
        return ContainerSpec(**{**known, **fields})

    async def create(self, args: list[str], *, process: dict[str, Any] | None = None, **fields: Any) -> Container:
        """Create a container that runs *args*."""
        spec = self.spec(self.bundle(args, **(process or {})), **fields)
        state, monitor = await self.zygote.create_container(spec)
        return Container(state, monitor, Path(spec.directory), Path(spec.log_path))

    async def start(self, container: Container) -> None:
        """Runtime ``start``."""
        await self.call("start", container.state.id)

    async def run(self, args: list[str], **fields: Any) -> tuple[ExitRecord, Container]:
        """Create, start, wait."""
        container = await self.create(args, **fields)
        await self.start(container)
        return await asyncio.wait_for(container.monitor.wait(), 20), container

    async def call(self, *args: str) -> None:
        """Run the runtime."""
        process = await asyncio.create_subprocess_exec(*self.runtime, *args)
        assert await process.wait() == 0, args

    def exec_spec(self, container: Container, args: list[str], **fields: Any) -> ExecSpec:
        """An exec of *args* in *container*."""
        number = next(_numbers)
        process = self.base / f"process-{number}.json"
        environment = ["PATH=/bin"]
        process.write_text(
            json.dumps(
                {
                    "args": args,
                    "cwd": "/",
                    "env": environment,
                    "user": {"uid": 0, "gid": 0},
                    "terminal": fields.get("terminal", False),
                }
            )
        )
        return ExecSpec(
            id=container.state.id,
            exec_id=f"e{number}",
            directory=str(container.directory),
            runtime=self.runtime,
            process=str(process),
            **fields,
        )

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Wait until *condition*() holds, ten seconds at most on a usual machine."""
        async with asyncio.timeout(10 * slowness()):
            while not condition():
                await asyncio.sleep(0.01)

    def gone(self) -> bool:
        """No process of this test's is left but the zygote."""
        marks = [str(self.base).encode(), *(name.encode() for name in self.containers)]
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                text = cmdline.read_bytes()
                if any(mark in text for mark in marks) and (cmdline.parent / "comm").read_text() != "conmon-zygote\n":
                    return False
        return True


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Both runtimes, by path."""
    path: str = {"runc": RUNC, "crun": CRUN}[request.param]
    if not os.path.exists(path):
        pytest.skip(f"{path} is not installed (Debian package {request.param})")
    return path


@pytest.fixture
async def world(tmp_path: Path, runtime: str) -> AsyncIterator[World]:
    """The world of one test, for each runtime."""
    async for made in _world(tmp_path, runtime):
        yield made


@pytest.fixture
async def runc_world(tmp_path: Path) -> AsyncIterator[World]:
    """As ``world``, with runc alone, for what does not depend on the runtime."""
    async for made in _world(tmp_path, RUNC):
        yield made


async def _world(tmp_path: Path, runtime: str) -> AsyncIterator[World]:
    if not BUSYBOX.exists():
        pytest.skip("/bin/busybox is not installed (Debian package busybox-static)")
    flags = ["--root", str(tmp_path / "runtime")]
    cgroup = f"/criserver-test-conmon-{os.getpid()}-{next(_numbers)}"
    if runtime == CRUN and _mixed_cgroups():
        pytest.skip("crun refuses cgroup v1 beside a cgroup2 mount that has controllers")
    base = tmp_path / "w"
    base.mkdir(mode=0o700)
    world = World(base, (runtime, *flags), cgroup, Zygote(base / "zygote"))
    try:
        yield world
    finally:
        for name in world.containers:
            subprocess.run([*world.runtime, "delete", "--force", name], capture_output=True, check=False)
        _end_processes(base)
        _remove_cgroups(cgroup)


def _mixed_cgroups() -> bool:
    v2 = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    return v2.exists() and bool(v2.read_text().split())


def _end_processes(base: Path) -> None:
    """Kill what was started from this test's directory: zygotes, monitors, sessions."""
    for _ in range(50):
        found = [pid for pid in _pids() if _belongs(pid, base)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _belongs(pid: int, base: Path) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        return state != "Z" and str(base) in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _remove_cgroups(cgroup: str) -> None:
    for hierarchy in cgroup_tops():
        top = hierarchy / cgroup.lstrip("/")
        if top.is_dir():
            for path in sorted(top.glob("**/"), key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):
                    path.rmdir()
