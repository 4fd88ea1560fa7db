"""The pod sandbox: what was asked (SandboxConfig) and what became of it (Sandbox)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from criserver.model.resources import LinuxResources
from criserver.model.security import NamespaceMode, SandboxSecurity


class SandboxState(StrEnum):
    """Own states of a sandbox; the CRI sees READY as READY and everything else that it may see as NOTREADY."""

    CREATING = "CREATING"
    READY = "READY"
    STOPPING = "STOPPING"
    NOTREADY = "NOTREADY"
    REMOVING = "REMOVING"


@dataclass(frozen=True, slots=True)
class PodMetadata:
    """CRI PodSandboxMetadata; (name, namespace, uid, attempt) is unique among sandboxes."""

    name: str
    uid: str
    namespace: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """What goes into resolv.conf (resolv.conf(5))."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A host port that reaches a port of the pod; protocol is "tcp", "udp" or "sctp"."""

    protocol: str
    container_port: int
    host_port: int = 0
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """CRI PodSandboxConfig, validated. `dns` is None when the pod takes the node's resolv.conf."""

    metadata: PodMetadata
    hostname: str = ""
    log_directory: str = ""
    dns: DnsConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    security: SandboxSecurity = field(default_factory=SandboxSecurity)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    overhead: LinuxResources | None = None
    resources: LinuxResources | None = None

    @property
    def host_network(self) -> bool:
        """Whether the pod lives in the node's network namespace."""
        return self.security.namespace_options.network is NamespaceMode.NODE


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox row. Times are nanoseconds since the epoch; `ips` in the order that CNI gave them.

    `cgroup_parent` is the pod cgroup in use, `owns_cgroup` whether this server made it and so removes it.
    `pid_init` is the pid of the pod init of a shared PID namespace, 0 without one.
    `delivered` says that a caller has got the id: only then is a second request for the name a duplicate.
    `overhead` and `resources` are what the last update said of them, None before the first one.
    """

    id: str
    config: SandboxConfig
    runtime_handler: str
    state: SandboxState
    created_at: int
    cgroup_parent: str = ""
    owns_cgroup: bool = False
    ips: tuple[str, ...] = ()
    network: str = ""
    pid_init: int = 0
    delivered: bool = False
    overhead: LinuxResources | None = None
    resources: LinuxResources | None = None


@dataclass(frozen=True, slots=True)
class SandboxFilter:
    """ListPodSandbox's filter; empty parts match all; `id` may be a unique prefix."""

    id: str = ""
    ready: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
