"""The network of a fresh node is one that CNI takes, with host ports, on addresses that are nobody's."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from cni.config import parse_list
from criserver.drivers.network.default import BRIDGE, CONFLIST, SUBNET

CONFIG = parse_list(CONFLIST.encode(), "default")


def bridge() -> Mapping[str, Any]:
    return CONFIG.plugins[0].raw


def test_a_conflist_with_host_ports() -> None:
    assert [plugin.type for plugin in CONFIG.plugins] == ["bridge", "portmap"]
    assert CONFIG.plugins[1].capabilities == {"portMappings"}


def test_pods_reach_the_world_and_each_other() -> None:
    assert bridge()["isGateway"] and bridge()["ipMasq"] and bridge()["hairpinMode"]
    assert bridge()["ipam"]["routes"] == [{"dst": "0.0.0.0/0"}]


def test_addresses_are_private_and_enough() -> None:
    (((found,),),) = (bridge()["ipam"]["ranges"],)
    subnet = ipaddress.ip_network(found["subnet"])
    assert str(subnet) == SUBNET and subnet.is_private and subnet.num_addresses >= 1 << 12
    # Docker's and podman's own defaults, which may be on the same node.
    for other in ("172.17.0.0/16", "10.88.0.0/16", "10.244.0.0/16"):
        assert not subnet.overlaps(ipaddress.ip_network(other))


def test_the_bridge_is_named_as_an_interface_can_be() -> None:
    assert bridge()["bridge"] == BRIDGE and len(BRIDGE) <= 15
