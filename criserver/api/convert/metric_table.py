"""Which metrics there are: names, help, labels, types, and how each follows from a reading. Tables, no messages.

Names and labels are cAdvisor's, which dashboards and alerts are written for; critest expects these 56 names. Values are
whole numbers, as the CRI has them: seconds are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from criserver.config.schema import MetricGroup
from criserver.lifecycle.reports.stats import ContainerSample
from criserver.model.resources import LinuxResources
from criserver.model.stats import CgroupUsage, CpuUsage, DiskUsage, InterfaceUsage, MemoryUsage, Pressure, TaskUsage

S = TypeVar("S")
Value = tuple[int | None, tuple[str, ...]]
"""A value with the values of the metric's own labels; None is left out."""

UNLIMITED = (1 << 64) - 1
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Metric(Generic[S]):
    """One metric of readings `S`. `labels` are those besides the ones that say whose it is."""

    name: str
    help: str
    values: Callable[[S], Iterable[Value]]
    labels: tuple[str, ...] = ()
    gauge: bool = False


Table = Mapping[MetricGroup, tuple[Metric[S], ...]]


def _one(value: Callable[[S], int | None], *labels: str) -> Callable[[S], Iterable[Value]]:
    return lambda reading: ((value(reading), labels),)


def _cpu(
    name: str, words: str, value: Callable[[CpuUsage], int], labels: Mapping[str, str] | None = None
) -> Metric[CgroupUsage]:
    def of(usage: CgroupUsage) -> int | None:
        return value(usage.cpu) if usage.cpu else None

    own = labels or {}
    return Metric(f"container_cpu_{name}", words, _one(of, *own.values()), tuple(own))


def _memory(
    name: str, words: str, value: Callable[[MemoryUsage], int | None], *, gauge: bool = True
) -> Metric[CgroupUsage]:
    def of(usage: CgroupUsage) -> int | None:
        return value(usage.memory) if usage.memory else None

    return Metric(f"container_{name}", words, _one(of), gauge=gauge)


def _stalls(resource: str, pressure: Callable[[CgroupUsage], Pressure | None]) -> tuple[Metric[CgroupUsage], ...]:
    def waiting(usage: CgroupUsage) -> int | None:
        found = pressure(usage)
        return found.some.total // _SECOND if found else None

    def stalled(usage: CgroupUsage) -> int | None:
        found = pressure(usage)
        return found.full.total // _SECOND if found else None

    name = f"container_pressure_{resource}"
    return (
        Metric(f"{name}_waiting_seconds_total", f"Seconds in which a task waited for {resource}.", _one(waiting)),
        Metric(f"{name}_stalled_seconds_total", f"Seconds in which all tasks waited for {resource}.", _one(stalled)),
    )


def _failures(usage: CgroupUsage) -> Iterator[Value]:
    if usage.memory:
        for scope in ("container", "hierarchy"):
            yield usage.memory.faults + usage.memory.major_faults, ("pgfault", scope)
            yield usage.memory.major_faults, ("pgmajfault", scope)


def _blkio(usage: CgroupUsage) -> Iterator[Value]:
    for each in usage.devices:
        labels = (each.device, str(each.major), str(each.minor))
        yield each.read_bytes, (*labels, "Read")
        yield each.written_bytes, (*labels, "Write")


def _traffic(field: str) -> Callable[[CgroupUsage], Iterable[Value]]:
    return lambda usage: [(getattr(each, field), (each.device,)) for each in usage.devices]


CGROUP: Table[CgroupUsage] = {
    MetricGroup.CPU: (
        _cpu("usage_seconds_total", "CPU time used, in seconds.", lambda cpu: cpu.total // _SECOND, {"cpu": "total"}),
        _cpu("user_seconds_total", "CPU time used in user mode, in seconds.", lambda cpu: cpu.user // _SECOND),
        _cpu("system_seconds_total", "CPU time used in the kernel, in seconds.", lambda cpu: cpu.system // _SECOND),
        _cpu("cfs_periods_total", "Periods of the CPU quota that have passed.", lambda cpu: cpu.periods),
        _cpu("cfs_throttled_periods_total", "Periods that the quota cut short.", lambda cpu: cpu.throttled_periods),
        _cpu(
            "cfs_throttled_seconds_total", "Time that the quota took, in seconds.",
            lambda cpu: cpu.throttled_time // _SECOND,
        ),
    ),
    MetricGroup.MEMORY: (
        _memory("memory_cache", "File cache, in bytes.", lambda memory: memory.cache),
        _memory("memory_failcnt", "How often the memory limit was hit.", lambda memory: memory.limit_hits, gauge=False),
        Metric(
            "container_memory_failures_total", "Page faults; major ones read from disk.", _failures,
            ("failure_type", "scope"),
        ),
        _memory("memory_kernel_usage", "Memory of the kernel's own, in bytes.", lambda memory: memory.kernel),
        _memory("memory_mapped_file", "Files mapped into memory, in bytes.", lambda memory: memory.mapped_file),
        _memory("memory_max_usage_bytes", "The most memory ever used, in bytes.", lambda memory: memory.max_usage),
        _memory("memory_rss", "Anonymous memory, in bytes.", lambda memory: memory.rss),
        _memory("memory_swap", "Swap in use, in bytes.", lambda memory: memory.swap or 0),
        _memory("memory_usage_bytes", "All memory in use, in bytes.", lambda memory: memory.usage),
        _memory(
            "memory_working_set_bytes", "Memory that cannot be given back easily, in bytes.",
            lambda memory: memory.working_set,
        ),
        _memory(
            "oom_events_total", "Processes killed for want of memory.", lambda memory: memory.oom_kills, gauge=False
        ),
    ),
    MetricGroup.PRESSURE: (
        *_stalls("cpu", lambda usage: usage.cpu.pressure if usage.cpu else None),
        *_stalls("memory", lambda usage: usage.memory.pressure if usage.memory else None),
        *_stalls("io", lambda usage: usage.io_pressure),
    ),
    MetricGroup.HUGETLB: (
        Metric(
            "container_hugetlb_usage_bytes", "Huge pages in use, in bytes.",
            lambda usage: [(each.usage, (each.size,)) for each in usage.huge_pages], ("pagesize",), gauge=True,
        ),
        Metric(
            "container_hugetlb_max_usage_bytes", "The most huge pages ever in use, in bytes.",
            lambda usage: [(each.max_usage, (each.size,)) for each in usage.huge_pages], ("pagesize",), gauge=True,
        ),
    ),
    MetricGroup.DISK_IO: (
        Metric(
            "container_blkio_device_usage_total", "Bytes to and from block devices.", _blkio,
            ("device", "major", "minor", "operation"),
        ),
        Metric("container_fs_reads_bytes_total", "Bytes read from disks.", _traffic("read_bytes"), ("device",)),
        Metric("container_fs_reads_total", "Reads from disks.", _traffic("reads"), ("device",)),
        Metric("container_fs_writes_bytes_total", "Bytes written to disks.", _traffic("written_bytes"), ("device",)),
        Metric("container_fs_writes_total", "Writes to disks.", _traffic("writes"), ("device",)),
    ),
}  # fmt: skip
"""Of containers, and of pods as a whole."""


def _disk(name: str, words: str, value: Callable[[DiskUsage], int]) -> Metric[ContainerSample]:
    def values(sample: ContainerSample) -> Iterator[Value]:
        if sample.disk:
            yield value(sample.disk), (sample.disk.device,)

    return Metric(f"container_fs_{name}", words, values, ("device",), gauge=True)


def _tasks(name: str, words: str, value: Callable[[TaskUsage], int]) -> Metric[ContainerSample]:
    def of(sample: ContainerSample) -> int | None:
        return value(sample.tasks) if sample.tasks else None

    return Metric(f"container_{name}", words, _one(of), gauge=True)


def _threads(name: str, words: str, value: Callable[[CgroupUsage], int | None]) -> Metric[ContainerSample]:
    def of(sample: ContainerSample) -> int | None:
        return value(sample.usage) if sample.usage else None

    return Metric(f"container_{name}", words, _one(of), gauge=True)


def _soft_limits(sample: ContainerSample) -> Iterator[Value]:
    for name, limit in (sample.tasks.soft_limits if sample.tasks else {}).items():
        yield UNLIMITED if limit is None else limit, (name,)


def _spec(name: str, words: str, value: Callable[[LinuxResources], int | None]) -> Metric[ContainerSample]:
    def asked(sample: ContainerSample) -> int | None:
        number = value(sample.row.resources)
        return None if number is None else max(0, number)  # -1 asks for no limit

    return Metric(f"container_spec_{name}", words, _one(asked), gauge=True)


def _reservation(asked: LinuxResources) -> int:
    low = asked.unified.get("memory.low", "")
    return int(low) if low.isdecimal() else 0


CONTAINER: Table[ContainerSample] = {
    MetricGroup.DISK: (
        _disk("inodes_free", "Inodes left on the file system of writable layers.", lambda disk: disk.inodes_free),
        _disk("inodes_total", "Inodes of the file system of writable layers.", lambda disk: disk.inodes_total),
        _disk("limit_bytes", "Size of the file system of writable layers, in bytes.", lambda disk: disk.capacity),
        _disk("usage_bytes", "What the container wrote to its own layer, in bytes.", lambda disk: disk.used),
    ),
    MetricGroup.MISC: (
        Metric(
            "container_last_seen", "When the container was measured, in seconds since the epoch.",
            _one(lambda sample: sample.usage.taken_at // _SECOND if sample.usage else None), gauge=True,
        ),
        Metric(
            "container_start_time_seconds", "When the container was started, in seconds since the epoch.",
            _one(lambda sample: sample.row.started_at // _SECOND), gauge=True,
        ),
    ),
    MetricGroup.PROCESSES: (
        _tasks("processes", "Processes.", lambda tasks: tasks.processes),
        _tasks("file_descriptors", "Open file descriptors.", lambda tasks: tasks.files),
        _tasks("sockets", "Open sockets.", lambda tasks: tasks.sockets),
        _threads("threads", "Threads.", lambda usage: usage.threads),
        _threads("threads_max", "How many threads there may be; 0: any number.", lambda usage: usage.threads_max),
        Metric(
            "container_ulimits_soft", f"Soft limits of the first process; {UNLIMITED}: none.", _soft_limits,
            ("ulimit",), gauge=True,
        ),
    ),
    MetricGroup.SPEC: (
        _spec("cpu_period", "Period of the CPU quota, in microseconds.", lambda asked: asked.cpu_period or 100_000),
        _spec(
            "cpu_quota", "CPU quota in microseconds, where there is one.",
            lambda asked: asked.cpu_quota if asked.cpu_quota > 0 else None,
        ),
        _spec("cpu_shares", "CPU weight.", lambda asked: asked.cpu_shares or 1024),
        _spec("memory_limit_bytes", "Memory limit in bytes; 0: none.", lambda asked: asked.memory_limit_in_bytes),
        _spec("memory_reservation_limit_bytes", "Memory kept for the container, in bytes; 0: none.", _reservation),
        _spec(
            "memory_swap_limit_bytes", "Limit of memory and swap together, in bytes; 0: none.",
            lambda asked: asked.memory_swap_limit_in_bytes,
        ),
    ),
}  # fmt: skip
"""Of containers only."""


def _interface(way: str, word: str, prefix: str) -> tuple[Metric[InterfaceUsage], ...]:
    def metric(what: str, words: str, field: str) -> Metric[InterfaceUsage]:
        def values(usage: InterfaceUsage) -> Iterator[Value]:
            yield getattr(usage, f"{prefix}_{field}"), (usage.name,)

        return Metric(f"container_network_{way}_{what}_total", words, values, ("interface",))

    return (
        metric("bytes", f"Bytes {word}.", "bytes"),
        metric("packets", f"Packets {word}.", "packets"),
        metric("packets_dropped", f"Packets dropped instead of being {word}.", "dropped"),
        metric("errors", f"Errors in what was {word}.", "errors"),
    )


NETWORK: Table[InterfaceUsage] = {
    MetricGroup.NETWORK: (*_interface("receive", "received", "rx"), *_interface("transmit", "sent", "tx")),
}
"""Of the interfaces of a pod."""
