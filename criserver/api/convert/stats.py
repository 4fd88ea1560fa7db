"""Samples of pods and containers to the CRI's messages. What was not measured stays unset."""

from __future__ import annotations

from criserver.api.pb import api_pb2 as pb
from criserver.lifecycle.reports.stats import ContainerSample, PodSample
from criserver.model.container import ContainerFilter
from criserver.model.sandbox import SandboxFilter
from criserver.model.stats import CgroupUsage, InterfaceUsage, NetworkUsage, Pressure, Stall

DEFAULT_INTERFACE = "eth0"  # as this server asks CNI plugins to call it


def container_filter(given: pb.ContainerStatsFilter) -> ContainerFilter:
    """ContainerStatsFilter."""
    return ContainerFilter(given.id, given.pod_sandbox_id, None, dict(given.label_selector))


def sandbox_filter(given: pb.PodSandboxStatsFilter) -> SandboxFilter:
    """PodSandboxStatsFilter."""
    return SandboxFilter(given.id, None, dict(given.label_selector))


def container_stats(sample: ContainerSample, mountpoint: str) -> pb.ContainerStats:
    """ContainerStats; `mountpoint` is where the kubelet finds the file system of writable layers."""
    row, usage = sample.row, sample.usage
    return pb.ContainerStats(
        attributes=pb.ContainerAttributes(
            id=row.id,
            metadata=pb.ContainerMetadata(name=row.config.metadata.name, attempt=row.config.metadata.attempt),
            labels=row.config.labels,
            annotations=row.config.annotations,
        ),
        cpu=_cpu(usage, sample.nano_cores),
        memory=_memory(usage),
        writable_layer=_writable_layer(sample, mountpoint),
        swap=_swap(usage),
        io=_io(usage),
    )


def pod_stats(sample: PodSample, mountpoint: str) -> pb.PodSandboxStats:
    """PodSandboxStats with its running containers."""
    row, meta = sample.row, sample.row.config.metadata
    return pb.PodSandboxStats(
        attributes=pb.PodSandboxAttributes(
            id=row.id,
            metadata=pb.PodSandboxMetadata(
                name=meta.name, uid=meta.uid, namespace=meta.namespace, attempt=meta.attempt
            ),
            labels=row.config.labels,
            annotations=row.config.annotations,
        ),
        linux=pb.LinuxPodSandboxStats(
            cpu=_cpu(sample.usage, sample.nano_cores),
            memory=_memory(sample.usage),
            network=_network(sample.network),
            process=_processes(sample),
            containers=[container_stats(each, mountpoint) for each in sample.containers],
            io=_io(sample.usage),
        ),
    )


def _cpu(usage: CgroupUsage | None, nano_cores: int | None) -> pb.CpuUsage | None:
    if usage is None or usage.cpu is None:
        return None
    return pb.CpuUsage(
        timestamp=usage.taken_at,
        usage_core_nano_seconds=_value(usage.cpu.total),
        usage_nano_cores=_value(nano_cores),
        psi=_pressure(usage.cpu.pressure),
    )


def _memory(usage: CgroupUsage | None) -> pb.MemoryUsage | None:
    if usage is None or usage.memory is None:
        return None
    memory = usage.memory
    return pb.MemoryUsage(
        timestamp=usage.taken_at,
        working_set_bytes=_value(memory.working_set),
        available_bytes=_value(_left(memory.limit, memory.working_set)),
        usage_bytes=_value(memory.usage),
        rss_bytes=_value(memory.rss),
        page_faults=_value(memory.faults),
        major_page_faults=_value(memory.major_faults),
        psi=_pressure(memory.pressure),
    )


def _swap(usage: CgroupUsage | None) -> pb.SwapUsage | None:
    if usage is None or usage.memory is None or usage.memory.swap is None:
        return None
    return pb.SwapUsage(
        timestamp=usage.taken_at,
        swap_available_bytes=_value(_left(usage.memory.swap_limit, usage.memory.swap)),
        swap_usage_bytes=_value(usage.memory.swap),
    )


def _io(usage: CgroupUsage | None) -> pb.IoUsage | None:
    if usage is None or usage.io_pressure is None:
        return None
    return pb.IoUsage(timestamp=usage.taken_at, psi=_pressure(usage.io_pressure))


def _writable_layer(sample: ContainerSample, mountpoint: str) -> pb.FilesystemUsage | None:
    if sample.disk is None:
        return None
    return pb.FilesystemUsage(
        timestamp=sample.disk.taken_at,
        fs_id=pb.FilesystemIdentifier(mountpoint=mountpoint),
        used_bytes=_value(sample.disk.used),
        inodes_used=_value(sample.disk.inodes),
    )


def _network(usage: NetworkUsage | None) -> pb.NetworkUsage | None:
    if usage is None:
        return None
    first = next((each for each in usage.interfaces if each.name == DEFAULT_INTERFACE), None)
    return pb.NetworkUsage(
        timestamp=usage.taken_at,
        default_interface=_interface(first) if first else None,
        interfaces=[_interface(each) for each in usage.interfaces if each is not first],
    )


def _interface(usage: InterfaceUsage) -> pb.NetworkInterfaceUsage:
    return pb.NetworkInterfaceUsage(
        name=usage.name,
        rx_bytes=_value(usage.rx_bytes),
        rx_errors=_value(usage.rx_errors),
        tx_bytes=_value(usage.tx_bytes),
        tx_errors=_value(usage.tx_errors),
    )


def _processes(sample: PodSample) -> pb.ProcessUsage | None:
    if sample.tasks is None:
        return None
    return pb.ProcessUsage(timestamp=sample.tasks.taken_at, process_count=_value(sample.tasks.processes))


def _pressure(pressure: Pressure | None) -> pb.PsiStats | None:
    if pressure is None:
        return None
    return pb.PsiStats(Full=_stall(pressure.full), Some=_stall(pressure.some))


def _stall(stall: Stall) -> pb.PsiData:
    return pb.PsiData(Total=stall.total, Avg10=stall.avg10, Avg60=stall.avg60, Avg300=stall.avg300)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def _value(number: int | None) -> pb.UInt64Value | None:
    return None if number is None else pb.UInt64Value(value=number)
