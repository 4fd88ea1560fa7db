"""Pod sandboxes in and out."""

import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from criserver.api.convert.sandbox import sandbox_config, sandbox_info, sandbox_item, sandbox_status
from criserver.api.pb import api_pb2 as pb
from criserver.errors import CriError, InvalidArgument
from criserver.model.resources import LinuxResources
from criserver.model.sandbox import DnsConfig, PodMetadata, PortMapping, Sandbox, SandboxConfig, SandboxState
from criserver.model.security import NamespaceMode

METADATA = pb.PodSandboxMetadata(name="pod", uid="uid-1", namespace="default", attempt=3)


def config(**fields: Any) -> SandboxConfig:
    return sandbox_config(pb.PodSandboxConfig(metadata=METADATA, **fields))


def linux(**fields: Any) -> SandboxConfig:
    return config(linux=pb.LinuxPodSandboxConfig(**fields))


def row(**fields: Any) -> Sandbox:
    values = {"id": "s1", "config": config(), "runtime_handler": "runc", "state": SandboxState.READY, "created_at": 7}
    return Sandbox(**{**values, **fields})


def test_the_least() -> None:
    assert config() == SandboxConfig(PodMetadata("pod", "uid-1", "default", 3))


def test_everything() -> None:
    result = config(
        hostname="web",
        log_directory="/var/log/pods/x/",
        dns_config=pb.DNSConfig(servers=["10.0.0.1"], searches=["a.b"], options=["ndots:5"]),
        port_mappings=[pb.PortMapping(protocol=pb.Protocol.SCTP, container_port=80, host_port=8080, host_ip="::1")],
        labels={"l": "1"},
        annotations={"a": "2"},
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent="/kubepods/x",
            sysctls={"net/ipv4/ip_forward": "1"},
            overhead=pb.LinuxContainerResources(cpu_shares=2),
            resources=pb.LinuxContainerResources(cpu_shares=3),
        ),
        windows=pb.WindowsPodSandboxConfig(),
    )
    assert result == SandboxConfig(
        PodMetadata("pod", "uid-1", "default", 3),
        "web",
        "/var/log/pods/x",
        DnsConfig(("10.0.0.1",), ("a.b",), ("ndots:5",)),
        (PortMapping("sctp", 80, 8080, "::1"),),
        {"l": "1"},
        {"a": "2"},
        "/kubepods/x",
        sysctls={"net.ipv4.ip_forward": "1"},
        overhead=LinuxResources(cpu_shares=2),
        resources=LinuxResources(cpu_shares=3),
    )


def test_no_dns_and_empty_dns_are_two_things() -> None:
    assert config().dns is None
    assert config(dns_config=pb.DNSConfig()).dns == DnsConfig()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pb.PodSandboxConfig(), r"^config\.metadata: missing"),
        (
            pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(uid="u", namespace="n")),
            r"^config\.metadata\.name: empty",
        ),
        (
            pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="p", namespace="n")),
            r"^config\.metadata\.uid: empty",
        ),
        (
            pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="p", uid="u")),
            r"^config\.metadata\.namespace: empty",
        ),
        (
            pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="p", uid="../../etc", namespace="n")),
            r"^config\.metadata\.uid: '\.\./\.\./etc'",
        ),
    ],
)
def test_metadata(given: pb.PodSandboxConfig, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        sandbox_config(given)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hostname": "a b"}, r"config\.hostname"),
        ({"log_directory": "relative"}, r"config\.log_directory"),
        ({"log_directory": "/var/../etc"}, r"config\.log_directory"),
        ({"labels": {"": "x"}}, r"config\.labels"),
        ({"annotations": {"a": "x" * (1 << 20)}}, r"config\.annotations"),
        ({"dns_config": pb.DNSConfig(servers=["1.1.1.1\nevil"])}, r"dns_config\.servers"),
        ({"dns_config": pb.DNSConfig(searches=["a b"])}, r"dns_config\.searches"),
        ({"dns_config": pb.DNSConfig(options=[""])}, r"dns_config\.options"),
        ({"dns_config": pb.DNSConfig(options=["a "])}, r"dns_config\.options"),
        ({"port_mappings": [pb.PortMapping(container_port=70000)]}, r"port_mappings\.container_port: 70000"),
        ({"port_mappings": [pb.PortMapping(container_port=-1)]}, r"port_mappings\.container_port"),
        ({"port_mappings": [pb.PortMapping(host_port=80)]}, "0 for host port 80"),
        ({"port_mappings": [pb.PortMapping(host_ip="x", container_port=1)]}, r"port_mappings\.host_ip"),
        ({"port_mappings": [pb.PortMapping(protocol=9)]}, r"port_mappings\.protocol: 9"),  # type: ignore[arg-type]
        ({"port_mappings": [pb.PortMapping()] * 4097}, "4097 entries"),
        ({"linux": pb.LinuxPodSandboxConfig(cgroup_parent="/a/../b")}, r"cgroup_parent"),
        ({"linux": pb.LinuxPodSandboxConfig(cgroup_parent="/a\n")}, r"cgroup_parent"),
        ({"linux": pb.LinuxPodSandboxConfig(sysctls={"kernel.core_pattern": "x"})}, "sysctls"),
        (
            {"linux": pb.LinuxPodSandboxConfig(overhead=pb.LinuxContainerResources(cpu_shares=-1))},
            r"overhead\.cpu_shares",
        ),
    ],
)
def test_refusals(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        config(**fields)


def test_sysctls_of_the_node_cve_2022_0532() -> None:
    options = pb.NamespaceOption(network=pb.NamespaceMode.NODE)
    with pytest.raises(InvalidArgument, match="would change the node"):
        linux(
            sysctls={"net.ipv4.ip_forward": "1"},
            security_context=pb.LinuxSandboxSecurityContext(namespace_options=options),
        )


def test_status() -> None:
    status = sandbox_status(row(ips=("10.0.0.2", "fd00::2"), config=config(labels={"l": "1"}, annotations={"a": "2"})))
    assert status == pb.PodSandboxStatus(
        id="s1",
        metadata=METADATA,
        state=pb.PodSandboxState.SANDBOX_READY,
        created_at=7,
        network=pb.PodSandboxNetworkStatus(ip="10.0.0.2", additional_ips=[pb.PodIP(ip="fd00::2")]),
        linux=pb.LinuxPodSandboxStatus(namespaces=pb.Namespace(options=pb.NamespaceOption())),
        labels={"l": "1"},
        annotations={"a": "2"},
        runtime_handler="runc",
    )


def test_a_pod_on_the_nodes_network_has_no_address() -> None:
    options = pb.NamespaceOption(network=pb.NamespaceMode.NODE)
    on_node = linux(security_context=pb.LinuxSandboxSecurityContext(namespace_options=options))
    status = sandbox_status(row(config=on_node, ips=("192.0.2.1",)))
    assert status.network.ip == ""
    assert status.linux.namespaces.options == options
    assert on_node.security.namespace_options.network is NamespaceMode.NODE


@pytest.mark.parametrize("state", SandboxState)
def test_only_ready_is_ready(state: SandboxState) -> None:
    ready = pb.PodSandboxState.SANDBOX_READY if state == "READY" else pb.PodSandboxState.SANDBOX_NOTREADY
    assert sandbox_item(row(state=state)).state == sandbox_status(row(state=state)).state == ready


def test_item() -> None:
    assert sandbox_item(row()) == pb.PodSandbox(
        id="s1", metadata=METADATA, state=pb.PodSandboxState.SANDBOX_READY, created_at=7, runtime_handler="runc"
    )


def test_info_is_json() -> None:
    info = json.loads(json.dumps(sandbox_info(row(pid_init=5, cgroup_parent="/c"), {"net": "/ns/net"})))
    assert info["namespaces"] == {"net": "/ns/net"}
    assert (info["pid"], info["cgroupParent"], info["state"]) == (5, "/c", "READY")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_but_with_words(raw: bytes) -> None:
    message = pb.PodSandboxConfig(metadata=METADATA)
    try:
        message.MergeFromString(raw)
    except DecodeError:  # what is not protobuf never reaches a handler
        return
    try:
        result = sandbox_config(message)
    except CriError:
        return
    assert "/" not in result.metadata.uid
