"""Sandboxes' namespaces, pinned and unpinned; what a failure or a kill leaves in between, unpin finds."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from criserver.drivers.namespaces import PinnedNamespaces
from criserver.errors import Internal, InvalidArgument
from criserver.kernel import namespaces

from .conftest import Place


@pytest.fixture
def driver(place: Place) -> PinnedNamespaces:
    return PinnedNamespaces(str(place.state))


async def test_pin_find_unpin(driver: PinnedNamespaces, place: Place) -> None:
    sysctls = {"net.ipv4.ip_unprivileged_port_start": "0", "kernel.msgmax": "1000"}
    await driver.pin("s1", {"net", "ipc", "uts"}, hostname="a-pod", sysctls=sysctls)
    await driver.pin("s2", {"net"})
    assert await driver.pinned() == {"s1": {"net", "ipc", "uts"}, "s2": {"net"}}
    assert namespaces.inside(driver.path("s1", "uts"), socket.gethostname) == "a-pod"
    assert namespaces.inside(driver.path("s1", "ipc"), Path("/proc/sys/kernel/msgmax").read_text) == "1000\n"
    for _ in range(2):
        await driver.unpin("s1")
        await driver.unpin("s2")
    assert await driver.pinned() == {}
    assert list((place.state / "sandboxes").iterdir()) == []


async def test_directories_are_private(driver: PinnedNamespaces, place: Place) -> None:
    old = os.umask(0)
    try:
        await driver.pin("s1", {"uts"})
    finally:
        os.umask(old)
    for path in ("sandboxes/s1/ns",):
        assert (place.state / path).stat().st_mode & 0o777 == 0o700


async def test_pin_again_after_a_kill(driver: PinnedNamespaces) -> None:
    await driver.pin("s1", {"net", "uts"})
    before = os.stat(driver.path("s1", "net")).st_ino
    await driver.pin("s1", {"net"})
    assert os.stat(driver.path("s1", "net")).st_ino != before
    assert await driver.pinned() == {"s1": {"net"}}


async def test_refused_sysctl_leaves_nothing(driver: PinnedNamespaces, place: Place) -> None:
    for name, value in (("net.ipv4.conf.lo.forwarding", "x"), ("net.no.such", "1")):
        with pytest.raises(InvalidArgument, match="sysctls: the kernel refuses this: .*/proc/sys/net/"):
            await driver.pin("s1", {"net", "uts"}, sysctls={name: value})
    assert await driver.pinned() == {}
    assert list((place.state / "sandboxes").iterdir()) == []


async def test_process_that_is_gone_cannot_be_pinned(driver: PinnedNamespaces) -> None:
    with pytest.raises(Internal, match="cannot pin the PID namespace of sandbox s1"):
        await driver.pin_pid("s1", 4194305)
    assert await driver.pinned() == {}


async def test_pid_namespace(driver: PinnedNamespaces) -> None:
    for _ in range(2):
        await driver.pin_pid("s1", os.getpid())
    assert await driver.pinned() == {"s1": {"pid"}}
    assert os.stat(driver.path("s1", "pid")).st_ino == os.stat("/proc/self/ns/pid").st_ino


async def test_state_directory_behind_a_link(place: Place) -> None:
    link = place.state.parent / "link"
    link.symlink_to(place.state)
    driver = PinnedNamespaces(str(link))
    await driver.pin("s1", {"uts"})
    assert await driver.pinned() == {"s1": {"uts"}}


async def test_cancelled_pin_is_complete_or_undone_by_unpin(driver: PinnedNamespaces) -> None:
    callers = [asyncio.gather(driver.pin(f"s{number}", {"net", "uts"})) for number in range(8)]
    await asyncio.sleep(0.002)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    # Nothing goes on behind the back of who was cancelled.
    before = await driver.pinned()
    await asyncio.sleep(0.05)
    assert await driver.pinned() == before
    for number in range(8):
        await driver.unpin(f"s{number}")
    assert await driver.pinned() == {}


async def test_files_of_others_stay(driver: PinnedNamespaces, place: Place) -> None:
    await driver.pin("s1", {"uts"})
    (place.state / "sandboxes/s1/hosts").touch()
    await driver.unpin("s1")
    assert os.listdir(place.state / "sandboxes/s1") == ["hosts"]
