"""Capability arguments with an agreed meaning, and the JSON in which plugins expect them (CNI's CONVENTIONS.md).

Pure. A plugin gets those that its configuration declares (`request`); a capability that is not listed here may be
passed as well, as any JSON value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InvalidParameter
from .result import Dns

UNLIMITED_BURST = 2**31 - 1
"""Bits that may be sent at once when nobody says; the bandwidth plugin wants a burst with every rate, below 4 GiB."""

PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the host that leads to one of the container; `host_ip` "" is every address of the host."""

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InvalidParameter(
                f"port mapping: protocol {self.protocol[:64]!r} must be one of {', '.join(PROTOCOLS)}"
            )
        for port in (self.host_port, self.container_port):
            if not 0 < port < 65536:
                raise InvalidParameter(f"port mapping: port {port} must be between 1 and 65535")

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `portMappings`."""
        entry = {"hostPort": self.host_port, "containerPort": self.container_port, "protocol": self.protocol}
        return entry | ({"hostIP": self.host_ip} if self.host_ip else {})


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Limits of an interface as the container sees it: rates in bits per second (0: none), bursts in bits."""

    ingress_rate: int = 0
    egress_rate: int = 0
    ingress_burst: int = UNLIMITED_BURST
    egress_burst: int = UNLIMITED_BURST

    def to_json(self) -> dict[str, Any]:
        """Return the value of `bandwidth`: a direction without a limit is left out."""
        ingress = {"ingressRate": self.ingress_rate, "ingressBurst": self.ingress_burst} if self.ingress_rate else {}
        egress = {"egressRate": self.egress_rate, "egressBurst": self.egress_burst} if self.egress_rate else {}
        return ingress | egress


def capability_args(
    *,
    port_mappings: Sequence[PortMapping] = (),
    bandwidth: Bandwidth | None = None,
    ip_ranges: Sequence[Sequence[Mapping[str, Any]]] = (),
    dns: Dns | None = None,
    ips: Sequence[str] = (),
    mac: str = "",
    aliases: Sequence[str] = (),
    cgroup_path: str = "",
    device_id: str = "",
    infiniband_guid: str = "",
    pod_annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return `Attachment.capability_args` for these wishes; what is empty is left out.

    `ip_ranges` is a list of pools per address, as host-local's `ranges`; `ips` are addresses with or without prefix
    length; `pod_annotations` go under containerd's key "io.kubernetes.cri.pod-annotations".
    """
    wishes = {
        "portMappings": [mapping.to_json() for mapping in port_mappings],
        "bandwidth": bandwidth.to_json() if bandwidth else {},
        "ipRanges": [[dict(pool) for pool in pools] for pools in ip_ranges],
        "dns": _dns(dns) if dns else {},
        "ips": list(ips),
        "mac": mac,
        "aliases": list(aliases),
        "cgroupPath": cgroup_path,
        "deviceID": device_id,
        "infinibandGUID": infiniband_guid,
        "io.kubernetes.cri.pod-annotations": dict(pod_annotations or {}),
    }
    return {name: value for name, value in wishes.items() if value}


def _dns(dns: Dns) -> dict[str, Any]:
    # The convention's keys differ from those of a result.
    wishes = {"servers": list(dns.nameservers), "searches": list(dns.search), "options": list(dns.options)}
    return {key: value for key, value in wishes.items() if value}
