"""Sysctls of a pod never reach the node, and pins are found in a mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from conmon.client import Zygote
from criserver.drivers.roots.namespaces import PinnedNamespaces, pinned_below, sysctl_path
from criserver.errors import InvalidArgument
from criserver.kernel.mount import parse_mountinfo
from criserver.ports.namespaces import Namespaces

ALL = {"net", "ipc", "uts"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
        ("net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter"),
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced"),
        ("kernel.msgmax", "kernel/msgmax"),
        ("kernel.sem", "kernel/sem"),
        ("fs.mqueue.msg_max", "fs/mqueue/msg_max"),
        ("kernel.domainname", "kernel/domainname"),
    ],
)
def test_namespaced_sysctls(name: str, path: str) -> None:
    assert sysctl_path(name, ALL) == path


@pytest.mark.parametrize(
    "name",
    [
        "kernel.core_pattern",
        "vm.swappiness",
        "fs.file-max",
        "kernel.pid_max",
        "kernel.hostname",
        "user.max_user_namespaces",
    ],
)
def test_sysctls_of_the_node_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="belongs to the node"):
        sysctl_path(name, ALL)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "net..ipv4",
        "net.ipv4.",
        "net/../kernel/core_pattern",
        "net.ipv4.x\n",
        "net",
        "net.//.kernel",
        "net/ipv4/",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        sysctl_path(name, ALL)


@pytest.mark.parametrize(
    ("name", "kinds", "kind"),
    [("net.ipv4.ip_forward", {"ipc", "uts"}, "net"), ("kernel.msgmax", {"net", "uts"}, "ipc")],
)
def test_sysctl_of_a_namespace_that_is_the_nodes(name: str, kinds: set[str], kind: str) -> None:
    with pytest.raises(InvalidArgument, match=f"uses the node's {kind} namespace"):
        sysctl_path(name, kinds)


@pytest.mark.parametrize("value", ["", "1\n2", "1\0", "\x1b[0m"])
async def test_sysctl_values_without_meaning(tmp_path: Path, value: str) -> None:
    driver: Namespaces = PinnedNamespaces(str(tmp_path), Zygote(tmp_path / "zygote"))
    with pytest.raises(InvalidArgument, match=r"sysctls: value .* of net\.ipv4\.ip_forward"):
        await driver.pin("s1", ALL, sysctls={"net.ipv4.ip_forward": value})
    assert list(tmp_path.iterdir()) == []


def test_pins_in_a_mount_table() -> None:
    table = """40 1 0:4 net:[4026532281] /run/criserver/sandboxes/s1/ns/net rw - nsfs nsfs rw
41 1 0:4 uts:[4026532282] /run/criserver/sandboxes/s1/ns/uts rw - nsfs nsfs rw
42 1 0:4 net:[4026532283] /run/criserver/sandboxes/s2/ns/net rw - nsfs nsfs rw
43 1 0:4 net:[4026532284] /run/criserver2/sandboxes/s3/ns/net rw - nsfs nsfs rw
44 1 0:4 net:[4026532285] /run/netns/cni-1 rw - nsfs nsfs rw
45 1 0:50 / /run/criserver/sandboxes/s1/shm rw - tmpfs shm rw
46 1 0:4 net:[4026532286] /run/criserver/sandboxes/s4 rw - nsfs nsfs rw
"""
    found = pinned_below("/run/criserver/sandboxes", parse_mountinfo(table))
    assert found == {"s1": frozenset({"net", "uts"}), "s2": frozenset({"net"})}


def test_path_is_named_by_sandbox_and_kind(tmp_path: Path) -> None:
    driver = PinnedNamespaces(str(tmp_path), Zygote(tmp_path / "zygote"))
    assert driver.path("s1", "net") == f"{tmp_path}/sandboxes/s1/ns/net"
