"""A pod's shared files: what is in them, the /dev/shm of its own, and that nothing is left of either."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from criserver.drivers.roots.pod_files import SHM_SIZE, PodFilesDriver
from criserver.kernel import mount
from criserver.model.sandbox import DnsConfig, PodMetadata, SandboxConfig
from criserver.model.security import NamespaceMode, NamespaceOptions, SandboxSecurity
from tests.root.drivers.conftest import MAPPED, Place

DNS = DnsConfig(("10.0.0.10",), ("svc.local",), ("ndots:5",))
CONFIG = SandboxConfig(PodMetadata("web", "uid", "default"), dns=DNS)


@pytest.fixture
def driver(place: Place) -> PodFilesDriver:
    return PodFilesDriver(str(place.state))


async def test_a_pod_of_its_own(driver: PodFilesDriver, place: Place) -> None:
    for _ in range(2):
        await driver.create("s1", CONFIG, "web-0")
    paths = driver.paths("s1", CONFIG)
    assert Path(paths.hostname).read_text() == "web-0\n"
    assert Path(paths.resolv_conf).read_text() == "nameserver 10.0.0.10\nsearch svc.local\noptions ndots:5\n"
    assert "127.0.0.1\tlocalhost\n" in Path(paths.hosts).read_text() and "web-0" in Path(paths.hosts).read_text()
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in (paths.hosts, paths.resolv_conf, paths.hostname)} == {0o644}
    assert stat.S_IMODE((place.state / "sandboxes/s1").stat().st_mode) == 0o700
    assert place.mounted() == [paths.shm], "once, though it was asked for twice"
    for _ in range(2):
        await driver.remove("s1")
    assert place.mounted() == [] and await driver.list() == frozenset()


async def test_shared_memory_is_bounded_and_runs_nothing(driver: PodFilesDriver, place: Place) -> None:
    await driver.create("s1", CONFIG, "web-0")
    shm = driver.paths("s1", CONFIG).shm
    (entry,) = [entry for entry in mount.mounts() if entry.target == shm]
    assert {"nosuid", "nodev", "noexec"} <= set(entry.options)
    status = os.statvfs(shm)
    assert status.f_blocks * status.f_frsize == SHM_SIZE
    assert stat.S_IMODE(os.stat(shm).st_mode) == 0o1777


async def test_a_stopped_pod_keeps_its_files_and_no_mount(driver: PodFilesDriver, place: Place) -> None:
    await driver.create("s1", CONFIG, "web-0")
    for _ in range(2):
        await driver.unmount("s1")
    assert place.mounted() == [] and Path(driver.paths("s1", CONFIG).hosts).exists()
    assert await driver.list() == {"s1"}


async def test_shared_memory_in_use_does_not_hold_up_the_pod(driver: PodFilesDriver, place: Place) -> None:
    await driver.create("s1", CONFIG, "web-0")
    with open(f"{driver.paths('s1', CONFIG).shm}/segment", "wb") as segment:
        segment.write(b"x")
        await driver.remove("s1")
    assert place.mounted() == [] and await driver.list() == frozenset()


async def test_a_pod_in_namespaces_of_the_node(driver: PodFilesDriver, place: Place) -> None:
    options = NamespaceOptions(network=NamespaceMode.NODE, ipc=NamespaceMode.NODE)
    config = replace(CONFIG, security=SandboxSecurity(namespace_options=options), dns=None)
    await driver.create("s1", config, "node")
    paths = driver.paths("s1", config)
    assert paths.shm == "/dev/shm" and place.mounted() == []
    assert Path(paths.hosts).read_bytes() == Path("/etc/hosts").read_bytes()
    assert Path(paths.resolv_conf).read_bytes() == Path("/etc/resolv.conf").read_bytes()
    await driver.remove("s1")
    assert Path("/dev/shm").is_dir() and await driver.list() == frozenset()


async def test_an_unknown_pod(driver: PodFilesDriver) -> None:
    await driver.unmount("nobody")
    await driver.remove("nobody")
    assert await driver.list() == frozenset()


async def test_files_of_a_pod_with_a_user_namespace_are_its_roots(driver: PodFilesDriver, place: Place) -> None:
    security = SandboxSecurity(namespace_options=NamespaceOptions(userns=MAPPED))
    config = replace(CONFIG, security=security)
    for _ in range(2):
        await driver.create("s1", config, "web-0")
    paths = driver.paths("s1", config)
    for path in (paths.hosts, paths.resolv_conf, paths.hostname, paths.shm):
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (100000, 200000)
    assert stat.S_IMODE(os.stat(paths.shm).st_mode) == 0o1777
    await driver.remove("s1")
    assert place.mounted() == []
