"""Which sysctls a pod may set."""

import pytest

from criserver.errors import InvalidArgument
from criserver.model.security import NamespaceMode, NamespaceOptions
from criserver.spec.sysctls import check, dotted, file, with_defaults

OWN = NamespaceOptions()
NODE = NamespaceMode.NODE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.ip_local_port_range", "1024 65535"),
        ("net.ipv4.tcp_rmem", "4096\t87380\t6291456"),
        ("net.ipv4.conf.eth0/100.forwarding", "1"),
        ("kernel.shm_rmid_forced", "1"),
        ("kernel.msgmax", "65536"),
        ("kernel.sem", "250 32000 32 128"),
        ("fs.mqueue.msg_max", "100"),
        ("kernel.domainname", "example.org"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
    ],
)
def test_namespaced(key: str, value: str) -> None:
    assert check({key: value}, OWN) == {key: value}


@pytest.mark.parametrize(
    "key", ["kernel.core_pattern", "vm.swappiness", "fs.file-max", "kernel.semantics", "kernel.msg.x"]
)
def test_of_the_node(key: str) -> None:
    with pytest.raises(InvalidArgument, match="not in a namespace of the pod"):
        check({key: "1"}, OWN)


@pytest.mark.parametrize(
    "value",
    ["", " ", "1 ", " 1", "1+kernel.core_pattern=|/x", "a=b", "1\n2", "1\0", "a+b", "1  2", "|x", "x" * 256, "$(x)"],
)
def test_values_that_could_be_taken_apart_cve_2022_0811(value: str) -> None:
    with pytest.raises(InvalidArgument, match=r"value .* of kernel\.shm_rmid_forced"):
        check({"kernel.shm_rmid_forced": value}, OWN)


@pytest.mark.parametrize(
    "key", ["", "net", "net.", ".net.x", "net..x", "net.x=1", "net.x y", "net.x\n", "net.x+y", "../x", "/net/x"]
)
def test_keys(key: str) -> None:
    with pytest.raises(InvalidArgument, match="sysctls"):
        check({key: "1"}, OWN)


def test_no_key_leaves_its_directory() -> None:
    for key in ("net.ipv4./.x", "net.////etc/passwd", "net/../kernel/core_pattern", "net/ipv4/../../x"):
        with pytest.raises(InvalidArgument, match="sysctls"):
            check({key: "1"}, OWN)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("net.ipv4.ip_forward", NamespaceOptions(network=NODE)),
        ("kernel.domainname", NamespaceOptions(network=NODE)),
        ("kernel.shmmax", NamespaceOptions(ipc=NODE)),
        ("fs.mqueue.msg_max", NamespaceOptions(ipc=NODE)),
    ],
)
def test_not_on_the_node_cve_2022_0532(key: str, options: NamespaceOptions) -> None:
    with pytest.raises(InvalidArgument, match="would change the node"):
        check({key: "1"}, options)


def test_slashes_for_dots() -> None:
    assert check({"net/ipv4/conf/eth0.100/forwarding": "1"}, OWN) == {"net.ipv4.conf.eth0/100.forwarding": "1"}
    assert dotted("net.ipv4.conf.eth0/100.x") == "net.ipv4.conf.eth0/100.x"
    assert file("net.ipv4.conf.eth0/100.forwarding") == "net/ipv4/conf/eth0.100/forwarding"
    with pytest.raises(InvalidArgument, match="given twice"):
        check({"net/ipv4/ip_forward": "1", "net.ipv4.ip_forward": "1"}, OWN)


def test_defaults_where_the_pod_has_the_namespace_and_says_nothing_else_cve_2022_0532() -> None:
    defaults = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "5"}
    assert with_defaults(defaults, {"net.ipv4.ip_forward": "0"}, OWN) == {
        "net.ipv4.ip_forward": "0",
        "kernel.msgmax": "5",
    }
    assert with_defaults(defaults, {}, NamespaceOptions(network=NODE)) == {"kernel.msgmax": "5"}
    assert with_defaults(defaults, {}, NamespaceOptions(network=NODE, ipc=NODE)) == {}
