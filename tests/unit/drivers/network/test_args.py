"""A pod's wishes as CNI arguments."""

from __future__ import annotations

import pytest

from cni import CniError
from criserver.drivers.network import args as network_args
from criserver.errors import InvalidArgument
from criserver.model.sandbox import DnsConfig, PodMetadata, PortMapping, SandboxConfig

POD = PodMetadata(name="web", uid="u-1", namespace="default", attempt=2)


def test_args_name_the_pod() -> None:
    assert dict(network_args.cni_args("s1", SandboxConfig(POD))) == {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": "default",
        "K8S_POD_NAME": "web",
        "K8S_POD_UID": "u-1",
        "K8S_POD_INFRA_CONTAINER_ID": "s1",
    }


def test_pod_that_asks_for_nothing() -> None:
    assert network_args.capabilities(SandboxConfig(POD)) == {}


def test_everything() -> None:
    config = SandboxConfig(
        POD,
        dns=DnsConfig(servers=("10.0.0.10",), searches=("svc",), options=("ndots:5",)),
        port_mappings=(
            PortMapping("TCP", 80, 8080, "127.0.0.1"),
            PortMapping("udp", 53),
            PortMapping("sctp", 99, 99),
        ),
        annotations={"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "1Gi", "x": "y"},
    )
    wishes = network_args.capabilities(config)
    assert wishes["portMappings"] == [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"},
        {"hostPort": 99, "containerPort": 99, "protocol": "sctp"},
    ]
    assert wishes["dns"] == {"servers": ["10.0.0.10"], "searches": ["svc"], "options": ["ndots:5"]}
    assert (wishes["bandwidth"]["ingressRate"], wishes["bandwidth"]["egressRate"]) == (10_000_000, 1 << 30)
    assert wishes["io.kubernetes.cri.pod-annotations"] == dict(config.annotations)


def test_one_direction_alone() -> None:
    config = SandboxConfig(POD, annotations={"kubernetes.io/egress-bandwidth": "1M"})
    bandwidth = network_args.capabilities(config)["bandwidth"]
    assert bandwidth["egressRate"] == 1_000_000
    assert "ingressRate" not in bandwidth


@pytest.mark.parametrize(
    ("text", "bits"), [("1k", 1000), ("1.5M", 1_500_000), ("2000", 2000), ("1Ki", 1024), ("1e6", 10**6)]
)
def test_rates(text: str, bits: int) -> None:
    assert network_args.rate({"a": text}, "a") == bits


@pytest.mark.parametrize(
    "text",
    ["", "M", "x", "10X", "-1M", "0", "999", "2P", "10MM", "1e999999999", "nan", "inf", "9" * 100, "10 M", "1kMi"],
)
def test_rates_without_sense(text: str) -> None:
    with pytest.raises(InvalidArgument, match="annotation a: .* is not a bandwidth"):
        network_args.rate({"a": text}, "a")


@pytest.mark.parametrize(
    "mapping", [PortMapping("tcp", 80, 70000), PortMapping("icmp", 80, 80), PortMapping("tcp", 0, 80)]
)
def test_port_mappings_without_sense(mapping: PortMapping) -> None:
    with pytest.raises(CniError, match="port mapping"):
        network_args.capabilities(SandboxConfig(POD, port_mappings=(mapping,)))
