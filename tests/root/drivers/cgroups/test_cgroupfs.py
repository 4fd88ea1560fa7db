"""The cgroupfs driver on this machine's hierarchies: it makes and takes away its own, and says what it cannot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.drivers.cgroups.systemd import open_cgroups
from criserver.errors import FailedPrecondition, Internal
from criserver.kernel import cgroupfs


@pytest.fixture
def driver() -> CgroupfsDriver:
    return open_cgroups("cgroupfs")


@pytest.fixture
def parent(driver: CgroupfsDriver) -> Iterator[str]:
    """A pod cgroup that is gone in the end."""
    path = f"/criserver-test-{os.getpid()}-{os.urandom(4).hex()}/pod1"
    yield path
    top = os.path.dirname(path)
    cgroupfs.kill(cgroupfs.hierarchies(), top)
    for hierarchy in cgroupfs.hierarchies():
        assert cgroupfs.remove(hierarchy, top)


def present(path: str) -> set[bool]:
    return {cgroupfs.exists(hierarchy, path) for hierarchy in cgroupfs.hierarchies()}


def inhabitant(path: str) -> subprocess.Popen[bytes]:
    files = cgroupfs.procs_files(cgroupfs.hierarchies(), path)
    script = "".join(f"echo $$ >{file}; " for file in files) + "echo ready; exec sleep 1000"
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    return child


async def test_who_makes_a_cgroup_owns_it(driver: CgroupfsDriver, parent: str) -> None:
    assert await driver.ensure(parent)
    assert present(parent) == {True}
    assert not await driver.ensure(parent)
    for _ in range(2):
        await driver.remove(parent)
    assert present(parent) == {False}


async def test_cgroup_that_a_kubelet_made_is_not_ours(driver: CgroupfsDriver, parent: str) -> None:
    first = cgroupfs.hierarchies()[0]
    cgroupfs.make(first, parent)
    assert not await driver.ensure(parent)
    assert present(parent) == {True}


async def test_busy_cgroup_is_left_and_said(driver: CgroupfsDriver, parent: str) -> None:
    await driver.ensure(f"{parent}/child")
    with inhabitant(f"{parent}/child") as child:
        with pytest.raises(FailedPrecondition, match=f"still has processes {child.pid}: they must end first"):
            await driver.remove(parent)
        assert present(f"{parent}/child") == {True}
        await driver.kill(parent)
        assert child.wait(10) == -9
    await driver.kill(parent)
    await driver.remove(parent)
    assert present(parent) == {False}


async def test_default_parents_leave_nothing(driver: CgroupfsDriver) -> None:
    names = [driver.default_parent(f"test-{os.getpid()}-{number}") for number in range(3)]
    for name in names:
        assert await driver.ensure(name)
    await driver.remove(names[0])
    assert present(names[1]) == {True}
    for name in names:
        await driver.remove(name)
        assert present(name) == {False}


async def test_failure_leaves_nothing(driver: CgroupfsDriver, parent: str) -> None:
    # A name that the kernel refuses, at the second level, when the first is made.
    with pytest.raises(Internal, match=r"(?s)cannot create cgroup .*Invalid argument"):
        await driver.ensure(f"{parent}\n")
    assert present(f"{parent}\n") == {False}


def limit(parent: str, controller: str, name: str) -> str:
    found = [each for each in cgroupfs.hierarchies() if controller in each.controllers]
    if not found:
        pytest.skip(f"no hierarchy that is mounted here has the {controller} controller")
    (hierarchy,) = found
    with open(f"{hierarchy.directory(parent)}/{name}", encoding="ascii") as file:
        return file.read().strip()


V1 = any(each.version == 1 and "cpu" in each.controllers for each in cgroupfs.hierarchies())
SHARES, QUOTA, MEMORY = (
    ("cpu.shares", "cpu.cfs_quota_us", "memory.limit_in_bytes") if V1 else ("cpu.weight", "cpu.max", "memory.max")
)


async def test_limits_of_a_pod_cgroup(driver: CgroupfsDriver, parent: str) -> None:
    await driver.ensure(parent)
    await driver.limit(parent, {"cpu": {"quota": 20000, "period": 100000}, "memory": {"limit": 64 << 20}})
    assert limit(parent, "cpu", QUOTA).split()[0] == "20000"
    assert limit(parent, "memory", MEMORY) == str(64 << 20)
    await driver.limit(parent, {"cpu": {"quota": -1}})
    assert limit(parent, "cpu", QUOTA).split()[0] in ("-1", "max")
    assert limit(parent, "memory", MEMORY) == str(64 << 20), "what is not asked for stays"


async def test_limits_are_set_all_or_none(driver: CgroupfsDriver, parent: str) -> None:
    await driver.ensure(parent)
    before = [limit(parent, "cpu", SHARES), limit(parent, "memory", MEMORY)]
    wrong = {"cpu": {"shares": 333, "cpus": "9999"}, "memory": {"limit": 64 << 20}}
    with pytest.raises(FailedPrecondition, match=r"does not take its limits: .*'9999'"):
        await driver.limit(parent, wrong)
    assert [limit(parent, "cpu", SHARES), limit(parent, "memory", MEMORY)] == before
