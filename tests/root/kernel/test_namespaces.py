"""New namespaces are pinned, are what was asked for, and leave the node's as they are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from criserver.kernel import mount, namespaces


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Kind → path of pins that are gone in the end."""
    paths = {kind: str(tmp_path / kind) for kind in ("net", "ipc", "uts", "pid")}
    yield paths
    for path in paths.values():
        namespaces.unpin(path)


def some(pins: dict[str, str], *kinds: str) -> dict[str, str]:
    return {kind: pins[kind] for kind in kinds}


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_new_namespaces(pins: dict[str, str]) -> None:
    before = {kind: own(kind) for kind in ("net", "ipc", "uts")}
    host, forward = socket.gethostname(), Path("/proc/sys/net/ipv4/conf/default/forwarding").read_text()
    sysctls = {"net/ipv4/conf/default/forwarding": str(1 - int(forward)), "kernel/shm_rmid_forced": "1"}
    namespaces.pin_new(some(pins, "net", "ipc", "uts"), hostname="a-pod", sysctls=sysctls)
    for kind, ours in before.items():
        assert namespaces.inside(pins[kind], partial(os.readlink, f"/proc/thread-self/ns/{kind}")) != ours
        assert own(kind) == ours
    assert namespaces.inside(pins["uts"], socket.gethostname) == "a-pod"
    assert socket.gethostname() == host
    there = namespaces.inside(pins["net"], Path("/proc/sys/net/ipv4/conf/default/forwarding").read_text)
    assert int(there) == 1 - int(forward)
    assert Path("/proc/sys/net/ipv4/conf/default/forwarding").read_text() == forward
    assert namespaces.inside(pins["ipc"], Path("/proc/sys/kernel/shm_rmid_forced").read_text) == "1\n"


def test_loopback_is_up(pins: dict[str, str]) -> None:
    namespaces.pin_new(some(pins, "net"), hostname="", sysctls={})

    def talk(family: socket.AddressFamily, address: str) -> bytes:
        with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
            server.bind((address, 0))
            server.settimeout(5)
            client.sendto(b"hello", server.getsockname())
            return server.recv(10)

    assert namespaces.inside(pins["net"], lambda: talk(socket.AF_INET, "127.0.0.1")) == b"hello"
    assert namespaces.inside(pins["net"], lambda: talk(socket.AF_INET6, "::1")) == b"hello"
    assert namespaces.inside(pins["net"], socket.if_nameindex)[0] == (1, "lo")


def test_without_a_hostname_the_new_uts_namespace_copies_the_nodes(pins: dict[str, str]) -> None:
    namespaces.pin_new(some(pins, "uts"), hostname="", sysctls={})
    assert namespaces.inside(pins["uts"], socket.gethostname) == socket.gethostname()


def test_pid_namespace_of_a_process(pins: dict[str, str]) -> None:
    namespaces.pin_of(os.getpid(), "pid", pins["pid"])
    assert os.stat(pins["pid"]).st_ino == os.stat("/proc/self/ns/pid").st_ino


def test_failures_name_their_step(pins: dict[str, str]) -> None:
    with pytest.raises(OSError, match="/proc/sys/net/none") as missing:
        namespaces.pin_new(some(pins, "net"), hostname="", sysctls={"net/none": "1"})
    assert missing.value.filename == "/proc/sys/net/none"
    with pytest.raises(OSError, match=r"write 'x': Invalid argument: '/proc/sys/net/ipv4/conf/default/forwarding'"):
        namespaces.pin_new(some(pins, "net"), hostname="", sysctls={"net/ipv4/conf/default/forwarding": "x"})
    with pytest.raises(FileNotFoundError, match="/proc/4194305/ns/pid"):
        namespaces.pin_of(4194305, "pid", pins["pid"])


def test_unpin_at_every_stage(pins: dict[str, str]) -> None:
    namespaces.unpin(pins["net"])
    Path(pins["net"]).touch()  # killed between making the file and the mount
    namespaces.unpin(pins["net"])
    assert not os.path.exists(pins["net"])
    namespaces.pin_new(some(pins, "net"), hostname="", sysctls={})
    mount.bind("/proc/self/ns/net", pins["net"])  # mounted twice
    namespaces.unpin(pins["net"])
    assert not os.path.exists(pins["net"])
    assert pins["net"] not in {entry.target for entry in mount.mounts()}


def test_pinned_namespace_is_not_overwritten(pins: dict[str, str]) -> None:
    namespaces.pin_new(some(pins, "net"), hostname="", sysctls={})
    with pytest.raises(FileExistsError):
        namespaces.pin_new(some(pins, "net"), hostname="", sysctls={})
