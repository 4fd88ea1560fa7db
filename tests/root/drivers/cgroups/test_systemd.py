"""The systemd driver on a machine that systemd runs: slices and scopes as it knows them, and what the kernel has."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from criserver.drivers.cgroups import systemd as systemd_cgroups
from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.drivers.cgroups.systemd import SystemdDriver, open_cgroups
from criserver.errors import FailedPrecondition
from criserver.kernel import cgroupfs
from criserver.model import cgroup_names

HERE = os.path.isdir("/run/systemd/system")
here = pytest.mark.skipif(not HERE, reason="systemd does not run here: hack/vm has a machine where it does")


@pytest.fixture
async def driver() -> AsyncIterator[SystemdDriver]:
    made = open_cgroups("systemd")
    assert isinstance(made, SystemdDriver)
    yield made
    made._systemd.close()


@pytest.fixture
def parent() -> Iterator[str]:
    """A pod slice below another; neither is there in the end."""
    top = f"criservertest{os.getpid()}x{os.urandom(3).hex()}"
    yield f"{top}-pod1.slice"
    systemctl("stop", f"{top}.slice")
    assert not systemctl("list-units", "--all", "--no-legend", f"*{top}*")
    assert not any(cgroupfs.exists(each, f"/{top}.slice") for each in cgroupfs.hierarchies())


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True).stdout


def directory(path: str) -> Path:
    (unified,) = (each for each in cgroupfs.hierarchies() if each.version == 2)
    return Path(unified.directory(cgroup_names.directory(path)))


def present(path: str) -> bool:
    return directory(path).is_dir()


def enter(path: str) -> subprocess.Popen[bytes]:
    """A process in the cgroup."""
    script = f"echo $$ >{directory(path)}/cgroup.procs && echo ready && exec sleep 1000"
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert child.stdout and child.stdout.readline() == b"ready\n"
    return child


@here
async def test_who_makes_a_slice_owns_it(driver: SystemdDriver, parent: str) -> None:
    assert await driver.missing(parent)
    assert await driver.ensure(parent)
    assert present(parent) and not await driver.missing(parent)
    assert not await driver.ensure(parent)
    for _ in range(2):
        await driver.remove(parent)
    assert not present(parent)


@here
async def test_a_slice_has_every_controller(driver: SystemdDriver, parent: str) -> None:
    await driver.ensure(parent)
    given = set((directory(parent) / "cgroup.controllers").read_text().split())
    assert given >= {"cpu", "cpuset", "io", "memory", "pids"}
    await driver.remove(parent)


@here
async def test_a_scope_waits_for_its_process_and_goes_with_it(driver: SystemdDriver, parent: str) -> None:
    await driver.ensure(parent)
    scope = driver.pod_init_path(parent, "1")
    assert await driver.ensure(scope)
    assert not await driver.ensure(scope)
    with enter(scope) as child:
        await driver.inhabited(scope)
        assert cgroupfs.processes(cgroupfs.hierarchies()[0], cgroup_names.directory(scope)) == {child.pid}
        with pytest.raises(FailedPrecondition, match=f"still has processes {child.pid}: they must end first"):
            await driver.remove(scope)
        with pytest.raises(FailedPrecondition, match="must end first"):
            await driver.remove(parent)
        await driver.kill(scope)
        assert child.wait(10) == -9
    for path in (scope, scope, parent):
        await driver.remove(path)
    assert not present(parent)


@here
async def test_a_scope_that_nobody_comes_to_goes(driver: SystemdDriver, parent: str) -> None:
    scope = driver.pod_init_path(parent, "1")
    await driver.ensure(scope)
    await driver.inhabited(scope)
    for _ in range(500):
        if not present(scope):
            break
        await asyncio.sleep(0.02)
    assert not present(scope)


@here
async def test_limits_survive_a_reload(driver: SystemdDriver, parent: str) -> None:
    await driver.ensure(parent)
    limits = {
        "cpu": {"shares": 2048, "quota": 20000, "period": 100000, "cpus": "0", "mems": "0"},
        "memory": {"limit": 64 << 20, "swap": 64 << 20},
    }
    wanted = {
        "cpu.weight": "79", "cpu.max": "20000 100000", "cpuset.cpus": "0", "cpuset.mems": "0",
        "memory.max": str(64 << 20), "memory.swap.max": "0",
    }  # fmt: skip
    await driver.limit(parent, limits)
    for _ in range(2):
        assert {name: (directory(parent) / name).read_text().strip() for name in wanted} == wanted
        systemctl("daemon-reload")
    await driver.limit(parent, {"cpu": {"quota": -1}})
    systemctl("daemon-reload")
    assert (directory(parent) / "cpu.max").read_text() == "max 100000\n"
    assert (directory(parent) / "memory.max").read_text() == f"{64 << 20}\n", "what is not asked for stays"
    await driver.remove(parent)


@here
async def test_limits_are_set_all_or_none(driver: SystemdDriver, parent: str) -> None:
    await driver.ensure(parent)
    names = ("cpu.weight", "memory.max")
    before = [(directory(parent) / name).read_text() for name in names]
    with pytest.raises(FailedPrecondition, match=r"does not take its limits: .*'9999'"):
        await driver.limit(parent, {"cpu": {"shares": 333, "cpus": "9999"}, "memory": {"limit": 64 << 20}})
    assert [(directory(parent) / name).read_text() for name in names] == before
    systemctl("daemon-reload")
    assert (directory(parent) / "memory.max").read_text() == "max\n"
    # systemd may have taken controllers back that nothing has asked it for
    await driver.limit(parent, {"cpu": {"shares": 333}})
    assert (directory(parent) / "cpu.weight").read_text() == "13\n"
    await driver.remove(parent)


@here
def test_auto_is_systemd_where_it_runs() -> None:
    assert open_cgroups("auto").driver == "systemd"
    assert open_cgroups("cgroupfs").driver == "cgroupfs"


def test_where_systemd_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_cgroups, "_lacking", lambda: "systemd does not run here: use cgroupfs")
    with pytest.raises(FailedPrecondition, match=r"cgroup_driver is systemd, but systemd does not run here"):
        open_cgroups("systemd")
    assert type(open_cgroups("auto")) is CgroupfsDriver
