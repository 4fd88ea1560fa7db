"""What a pod's sandbox config asks of its network, as CNI arguments (CNI CONVENTIONS.md). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cni import Bandwidth, Dns, PortMapping, capability_args, pod_args
from criserver.errors import InvalidArgument
from criserver.model.sandbox import SandboxConfig

INGRESS = "kubernetes.io/ingress-bandwidth"
EGRESS = "kubernetes.io/egress-bandwidth"

# Bits per second that make sense for a pod, the range that Kubernetes itself admits.
_MIN_RATE, _MAX_RATE = 10**3, 10**15

# Suffixes of Kubernetes quantities (apimachinery, resource.Quantity) that a rate can have.
_FACTORS: Mapping[str, int] = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_QUANTITY = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(?:[eE](\d{1,2}))?(|[kMGTP]|[KMGTP]i)", re.ASCII)


def cni_args(sandbox_id: str, config: SandboxConfig) -> tuple[tuple[str, str], ...]:
    """CNI_ARGS of the pod (K8S_POD_NAME and its kin)."""
    pod = config.metadata
    return pod_args(namespace=pod.namespace, name=pod.name, uid=pod.uid, infra_container_id=sandbox_id)


def capabilities(config: SandboxConfig) -> dict[str, Any]:
    """Capability arguments of the pod; port mappings without a host port ask for nothing and are left out.

    InvalidArgument names an annotation that is not a bandwidth. CniError for a port or protocol that is none.
    """
    ports = [
        PortMapping(mapping.host_port, mapping.container_port, mapping.protocol.lower(), mapping.host_ip)
        for mapping in config.port_mappings
        if mapping.host_port > 0
    ]
    ingress, egress = (rate(config.annotations, name) for name in (INGRESS, EGRESS))
    dns = config.dns
    return capability_args(
        port_mappings=ports,
        bandwidth=Bandwidth(ingress, egress) if ingress or egress else None,
        dns=Dns(nameservers=dns.servers, search=dns.searches, options=dns.options) if dns else None,
        pod_annotations=config.annotations,
    )


def rate(annotations: Mapping[str, str], name: str) -> int:
    """Bits per second in an annotation such as "10M"; 0 when it is not there."""
    text = annotations.get(name)
    if text is None:
        return 0
    match = _QUANTITY.fullmatch(text)
    bits = int(Decimal(match[1]) * 10 ** int(match[2] or 0) * _FACTORS[match[3]]) if match else 0
    if not _MIN_RATE <= bits <= _MAX_RATE:
        raise InvalidArgument(f"annotation {name}: {text[:64]!r} is not a bandwidth between 1k and 1P, such as 10M")
    return bits
