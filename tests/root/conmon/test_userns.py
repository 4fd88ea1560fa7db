"""User namespaces and what they own, made by a fork of the zygote and handed over as descriptors."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conmon.client import ConmonError, UserNamespaceSpec

MAPS: dict[str, Any] = {"uid_map": "0 100000 65536\n", "gid_map": "0 200000 65536\n"}
IPC_SYSCTL_OWNER = (6, 10)
"""The Linux from which on IPC sysctls belong to the root of the user namespace."""


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Descriptors that are closed in the end."""
    fds: list[int] = []
    yield fds
    for fd in fds:
        os.close(fd)


def inside(fd: int, command: str) -> str:
    """What a shell in the user namespace prints."""
    enter = ["nsenter", f"--user=/proc/self/fd/{fd}", "sh", "-c", command]
    return subprocess.run(enter, pass_fds=[fd], capture_output=True, text=True, check=True).stdout


def owner(fd: int) -> int:
    """The inode of the user namespace that owns one (ioctl_ns(2), NS_GET_USERNS)."""


    found = fcntl.ioctl(fd, 0xB701)
    try:
        return os.fstat(found).st_ino
    finally:
        os.close(found)


async def test_maps_and_ownership(runc_world: Any, opened: list[int]) -> None:
    fds, left = await runc_world.zygote.user_namespace(UserNamespaceSpec(id="pod", kinds=("net", "ipc", "uts"), **MAPS))
    opened += fds
    assert left == [] and len(fds) == 4
    assert inside(fds[0], "cat /proc/self/uid_map").split() == ["0", "100000", "65536"]
    assert inside(fds[0], "cat /proc/self/gid_map").split() == ["0", "200000", "65536"]
    assert inside(fds[0], "cat /proc/self/setgroups") == "allow\n"
    links = [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in fds]
    assert links == ["user", "net", "ipc", "uts"]
    assert {owner(fd) for fd in fds[1:]} == {os.fstat(fds[0]).st_ino}
    assert os.fstat(fds[0]).st_ino != os.stat("/proc/self/ns/user").st_ino


async def test_no_process_is_left(runc_world: Any, opened: list[int]) -> None:
    fds, _ = await runc_world.zygote.user_namespace(UserNamespaceSpec(id="pod", **MAPS))
    opened += fds
    inode = os.fstat(fds[0]).st_ino
    async with asyncio.timeout(5):
        while inode in [_userns(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
            await asyncio.sleep(0.01)


def _userns(entry: Path) -> int:
    try:
        return (entry / "ns/user").stat().st_ino
    except OSError:
        return 0


async def test_sysctls(runc_world: Any, opened: list[int]) -> None:
    sysctls = ("kernel/msgmax=9001", "net/ipv4/ip_unprivileged_port_start=7", "kernel/domainname=example")
    spec = UserNamespaceSpec(id="pod", kinds=("net", "ipc", "uts"), sysctls=sysctls, **MAPS)
    fds, left = await runc_world.zygote.user_namespace(spec)
    opened += fds
    kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    assert "kernel/domainname=example" in left, "the name of a UTS namespace is the host's root's to give"
    assert ("kernel/msgmax=9001" in left) == (kernel < IPC_SYSCTL_OWNER)
    reader = ["nsenter", f"--net=/proc/self/fd/{fds[1]}", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"]
    assert subprocess.run(reader, pass_fds=fds, capture_output=True, check=True).stdout == b"7\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uid_map": "0 1 5\n0 9 5\n"}, "user namespace of pod: uid_map .*: Invalid argument"),
        ({"gid_map": "nonsense"}, "gid_map 'nonsense': Invalid argument"),
        ({"sysctls": ("net/ipv4/ip_forward=x",), "kinds": ("net",)}, "/proc/sys/net/ipv4/ip_forward: 'x': Invalid"),
        ({"sysctls": ("net/no/such=1",), "kinds": ("net",)}, "/proc/sys/net/no/such: '1': No such file"),
    ],
)
async def test_what_the_kernel_refuses(runc_world: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConmonError, match=words):
        await runc_world.zygote.user_namespace(UserNamespaceSpec(id="pod", **{**MAPS, **changes}))


async def test_the_zygotes_own_namespace_stays(runc_world: Any, opened: list[int]) -> None:
    fds, _ = await runc_world.zygote.user_namespace(UserNamespaceSpec(id="pod", **MAPS))
    opened += fds
    pid = (await runc_world.zygote.ping())["pid"]
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
