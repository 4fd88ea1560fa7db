"""Stats of pods as the CRI tells them."""

from __future__ import annotations

from criserver.api.pb import api_pb2 as pb
from tests.unit.cli.status.kit import Service

MIB = 1 << 20
SECOND = 1_000_000_000


def value(number: int) -> pb.UInt64Value:
    return pb.UInt64Value(value=number)


def cpu(at: int, used: int, *, psi: float | None = None) -> pb.CpuUsage:
    usage = pb.CpuUsage(timestamp=at, usage_core_nano_seconds=value(used))
    if psi is not None:
        usage.psi.Some.Avg10 = psi
    return usage


def memory(used: int, available: int | None = None) -> pb.MemoryUsage:
    usage = pb.MemoryUsage(timestamp=1, working_set_bytes=value(used))
    if available is not None:
        usage.available_bytes.value = available
    return usage


def busy(service: Service, at: int, used: int, *, psi: float | None = None) -> None:
    """Stats of the kit's pod web and of its second nginx."""
    web, nginx = service.pods[0], service.containers[1]
    inside = pb.ContainerStats(
        attributes=pb.ContainerAttributes(id=nginx.id), cpu=cpu(at, used, psi=psi), memory=memory(60 * MIB, 4 * MIB)
    )
    stats = pb.PodSandboxStats(attributes=pb.PodSandboxAttributes(id=web.id))
    stats.linux.cpu.CopyFrom(cpu(at, used + SECOND, psi=psi))
    stats.linux.memory.CopyFrom(memory(61 * MIB))
    stats.linux.containers.append(inside)
    service.stats = [stats]
