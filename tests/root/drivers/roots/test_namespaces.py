"""Sandboxes' namespaces, pinned and unpinned; what a failure or a kill leaves in between, unpin finds."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from pathlib import Path

import pytest

from conmon.client import Zygote
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.errors import Internal, InvalidArgument
from criserver.kernel import namespaces
from criserver.model.security import NamespaceMode, UserNamespace
from tests.root.drivers.conftest import MAPPED, Place


@pytest.fixture
def driver(place: Place, zygote: Zygote) -> PinnedNamespaces:
    return PinnedNamespaces(str(place.state), zygote)


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
    driver = PinnedNamespaces(str(link), Zygote(place.state / "zygote"))
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


def owner(path: str) -> int:
    """The inode of the user namespace that owns the one pinned at `path` (ioctl_ns(2), NS_GET_USERNS)."""
    with open(path, "rb") as namespace:
        fd = fcntl.ioctl(namespace, 0xB701)
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


async def test_user_namespace_owns_the_others(driver: PinnedNamespaces) -> None:
    sysctls = {"net.ipv4.ip_unprivileged_port_start": "0", "kernel.msgmax": "1000", "kernel.domainname": "d"}
    await driver.pin("s1", {"net", "ipc", "uts"}, hostname="a-pod", sysctls=sysctls, userns=MAPPED)
    assert await driver.pinned() == {"s1": {"net", "ipc", "uts", "user"}}
    user = os.stat(driver.path("s1", "user")).st_ino
    assert {owner(driver.path("s1", kind)) for kind in ("net", "ipc", "uts")} == {user}
    assert user != os.stat("/proc/self/ns/user").st_ino
    assert namespaces.inside(driver.path("s1", "uts"), socket.gethostname) == "a-pod"
    for kind, file, value in (
        ("ipc", "kernel/msgmax", "1000"),
        ("uts", "kernel/domainname", "d"),
        ("net", "net/ipv4/ip_unprivileged_port_start", "0"),
    ):
        assert namespaces.inside(driver.path("s1", kind), Path(f"/proc/sys/{file}").read_text) == f"{value}\n"
    for _ in range(2):
        await driver.unpin("s1")
    assert await driver.pinned() == {}


async def test_user_namespace_alone_beside_the_nodes_network(driver: PinnedNamespaces) -> None:
    await driver.pin("s1", {"uts"}, userns=MAPPED)
    assert await driver.pinned() == {"s1": {"uts", "user"}}


async def test_a_failure_with_a_user_namespace_leaves_nothing(driver: PinnedNamespaces, place: Place) -> None:
    with pytest.raises(InvalidArgument, match="the kernel refuses this: .*kernel/msgmax"):
        await driver.pin("s1", {"ipc"}, sysctls={"kernel.msgmax": "many"}, userns=MAPPED)
    with pytest.raises(InvalidArgument, match="the kernel refuses this: .*no/such"):
        await driver.pin("s1", {"net"}, sysctls={"net.no.such": "1"}, userns=MAPPED)
    twice = UserNamespace(NamespaceMode.POD, MAPPED.uids * 2, MAPPED.gids)
    with pytest.raises(Internal, match="cannot make the user namespace of sandbox s1: .*uid_map"):
        await driver.pin("s1", {"ipc"}, userns=twice)
    assert await driver.pinned() == {} and place.mounted() == []
    held = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [link for link in held if link.startswith("user:")]
