"""Pod sandboxes: PodSandboxConfig in, PodSandbox and PodSandboxStatus out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from criserver.api.convert import fields, namespaces, resources, security
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.resources import LinuxResources
from criserver.model.sandbox import DnsConfig, PodMetadata, PortMapping, Sandbox, SandboxConfig, SandboxState
from criserver.spec import sysctls

_PROTOCOLS: dict[int, str] = {number: name.lower() for name, number in pb.Protocol.items()}
_LIST_LIMIT = 4096


def sandbox_config(given: pb.PodSandboxConfig) -> SandboxConfig:
    """PodSandboxConfig, checked; InvalidArgument names field, value and fix. Windows fields mean nothing."""
    linux = given.linux
    context = security.sandbox_security(linux.security_context, "config.linux.security_context")
    return SandboxConfig(
        metadata=_metadata(given),
        hostname=fields.hostname(given.hostname, "config.hostname"),
        log_directory=fields.directory(given.log_directory, "config.log_directory"),
        dns=_dns(given.dns_config) if given.HasField("dns_config") else None,
        port_mappings=tuple(_port(p) for p in _bounded(given.port_mappings, "config.port_mappings")),
        labels=fields.texts(given.labels, "config.labels"),
        annotations=fields.texts(given.annotations, "config.annotations"),
        cgroup_parent=_cgroup_parent(linux.cgroup_parent),
        security=context,
        sysctls=sysctls.check(linux.sysctls, context.namespace_options),
        overhead=_resources(linux.overhead, "overhead") if linux.HasField("overhead") else None,
        resources=_resources(linux.resources, "resources") if linux.HasField("resources") else None,
    )


def sandbox_item(row: Sandbox) -> pb.PodSandbox:
    """A line of ListPodSandbox."""
    return pb.PodSandbox(
        id=row.id,
        metadata=_metadata_pb(row.config.metadata),
        state=_state(row.state),
        created_at=row.created_at,
        labels=row.config.labels,
        annotations=row.config.annotations,
        runtime_handler=row.runtime_handler,
    )


def sandbox_status(row: Sandbox) -> pb.PodSandboxStatus:
    """PodSandboxStatus; a pod on the node's network has no address of its own, as the kubelet expects."""
    ips = () if row.config.host_network else row.ips
    options = namespaces.namespace_options_pb(row.config.security.namespace_options)
    return pb.PodSandboxStatus(
        id=row.id,
        metadata=_metadata_pb(row.config.metadata),
        state=_state(row.state),
        created_at=row.created_at,
        network=pb.PodSandboxNetworkStatus(
            ip=ips[0] if ips else "", additional_ips=[pb.PodIP(ip=address) for address in ips[1:]]
        ),
        linux=pb.LinuxPodSandboxStatus(namespaces=pb.Namespace(options=options)),
        labels=row.config.labels,
        annotations=row.config.annotations,
        runtime_handler=row.runtime_handler,
    )


def sandbox_info(row: Sandbox, pinned: Mapping[str, str]) -> dict[str, Any]:
    """What a verbose status adds, ready for JSON; `pinned` are the pod's own namespaces, kind → path."""
    return {
        "cgroupParent": row.cgroup_parent,
        "cgroupParentOwned": row.owns_cgroup,
        "hostNetwork": row.config.host_network,
        "hostname": row.config.hostname,
        "logDirectory": row.config.log_directory,
        "namespaces": dict(pinned),
        "network": row.network,
        "overhead": resources.linux_resources_info(row.overhead or row.config.overhead),
        "pid": row.pid_init,
        "resources": resources.linux_resources_info(row.resources or row.config.resources),
        "runtimeHandler": row.runtime_handler,
        "state": row.state.value,
        "sysctls": dict(row.config.sysctls),
    }


def _metadata(given: pb.PodSandboxConfig) -> PodMetadata:
    if not given.HasField("metadata"):
        raise InvalidArgument("config.metadata: missing; give name, namespace and uid of the pod")
    metadata = given.metadata
    return PodMetadata(
        name=fields.name(metadata.name, "config.metadata.name"),
        uid=fields.name(metadata.uid, "config.metadata.uid"),
        namespace=fields.name(metadata.namespace, "config.metadata.namespace"),
        attempt=metadata.attempt,
    )


def _metadata_pb(metadata: PodMetadata) -> pb.PodSandboxMetadata:
    return pb.PodSandboxMetadata(
        name=metadata.name, uid=metadata.uid, namespace=metadata.namespace, attempt=metadata.attempt
    )


def _dns(given: pb.DNSConfig) -> DnsConfig:
    return DnsConfig(
        servers=_words(given.servers, "config.dns_config.servers"),
        searches=_words(given.searches, "config.dns_config.searches"),
        options=_words(given.options, "config.dns_config.options"),
    )


def _words(given: Sequence[str], field: str) -> tuple[str, ...]:
    """Words of a line of resolv.conf, which a blank or a line break would end."""
    for word in _bounded(given, field):
        if not word or len(word.split()) != 1 or word != word.strip():
            raise InvalidArgument(f"{field}: {word[:80]!r}; give one word without blanks")
        fields.line(word, field)
    return tuple(given)


def _port(given: pb.PortMapping) -> PortMapping:
    field = "config.port_mappings"
    mapping = PortMapping(
        protocol=fields.choice(given.protocol, _PROTOCOLS, f"{field}.protocol"),
        container_port=fields.port(given.container_port, f"{field}.container_port"),
        host_port=fields.port(given.host_port, f"{field}.host_port"),
        host_ip=fields.address(given.host_ip, f"{field}.host_ip"),
    )
    if mapping.host_port and not mapping.container_port:
        raise InvalidArgument(f"{field}.container_port: 0 for host port {mapping.host_port}; give the pod's port")
    return mapping


def _bounded(given: Sequence[Any], field: str) -> Sequence[Any]:
    if len(given) > _LIST_LIMIT:
        raise InvalidArgument(f"{field}: {len(given)} entries; give at most {_LIST_LIMIT}")
    return given


def _cgroup_parent(given: str) -> str:
    field = "config.linux.cgroup_parent"
    if ".." in fields.line(given, field).split("/"):
        raise InvalidArgument(f'{field}: {given[:80]!r} holds ".."; give the path without it')
    return given


def _resources(given: pb.LinuxContainerResources, name: str) -> LinuxResources:
    return resources.linux_resources(given, f"config.linux.{name}")


def _state(state: SandboxState) -> pb.PodSandboxState.ValueType:
    ready = state is SandboxState.READY
    return pb.PodSandboxState.SANDBOX_READY if ready else pb.PodSandboxState.SANDBOX_NOTREADY
