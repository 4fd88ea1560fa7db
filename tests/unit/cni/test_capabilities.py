from __future__ import annotations

from typing import Any

import pytest

from cni.capabilities import UNLIMITED_BURST, Bandwidth, PortMapping, capability_args
from cni.errors import InvalidParameter
from cni.result import Dns


def test_every_agreed_capability_has_its_agreed_shape() -> None:
    assert capability_args(
        port_mappings=[PortMapping(8080, 80), PortMapping(53, 53, "udp", "127.0.0.1")],
        bandwidth=Bandwidth(ingress_rate=1000, egress_rate=2000, egress_burst=5),
        ip_ranges=[[{"subnet": "10.1.0.0/24"}]],
        dns=Dns(("8.8.8.8",), search=("a.example",), options=("ndots:5",)),
        ips=["10.1.0.9/24"],
        mac="c2:11:22:33:44:55",
        aliases=["db"],
        cgroup_path="/kubepods/pod1",
        device_id="0000:04:00.5",
        infiniband_guid="c2:11:22:33:44:55:66:77",
        pod_annotations={"k": "v"},
    ) == {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
        ],
        "bandwidth": {"ingressRate": 1000, "ingressBurst": UNLIMITED_BURST, "egressRate": 2000, "egressBurst": 5},
        "ipRanges": [[{"subnet": "10.1.0.0/24"}]],
        "dns": {"servers": ["8.8.8.8"], "searches": ["a.example"], "options": ["ndots:5"]},
        "ips": ["10.1.0.9/24"],
        "mac": "c2:11:22:33:44:55",
        "aliases": ["db"],
        "cgroupPath": "/kubepods/pod1",
        "deviceID": "0000:04:00.5",
        "infinibandGUID": "c2:11:22:33:44:55:66:77",
        "io.kubernetes.cri.pod-annotations": {"k": "v"},
    }


def test_what_is_empty_is_left_out() -> None:
    assert capability_args() == {}
    assert capability_args(bandwidth=Bandwidth(), dns=Dns(), pod_annotations={}) == {}
    assert capability_args(bandwidth=Bandwidth(egress_rate=8)) == {
        "bandwidth": {"egressRate": 8, "egressBurst": UNLIMITED_BURST}
    }


@pytest.mark.parametrize("wrong", [{"host_port": 0}, {"container_port": 65536}, {"protocol": "icmp"}])
def test_impossible_port_mappings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match="port mapping"):
        PortMapping(**({"host_port": 1, "container_port": 1} | wrong))
