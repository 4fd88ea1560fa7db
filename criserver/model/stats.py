"""What pods and containers use of the machine, as one moment saw it.

Times are nanoseconds, sizes bytes, unless a field says otherwise. None is "cannot be told here", never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Stall:
    """One line of a pressure file (Documentation/accounting/psi.rst): time lost so far, and shares in percent."""

    total: int = 0
    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0


@dataclass(frozen=True, slots=True)
class Pressure:
    """Time lost to one scarce resource: `some` tasks waited, or the `full` set of them."""

    some: Stall
    full: Stall


@dataclass(frozen=True, slots=True)
class CpuUsage:
    """CPU time since the cgroup was made; `periods` of the quota so far, and those that it cut short."""

    total: int
    user: int = 0
    system: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    pressure: Pressure | None = None


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Memory charged to the cgroup and to those below it. `limit` and `swap_limit` are None when there is none."""

    usage: int
    working_set: int
    rss: int
    cache: int = 0
    mapped_file: int = 0
    kernel: int = 0
    swap: int | None = None
    limit: int | None = None
    swap_limit: int | None = None
    faults: int = 0
    major_faults: int = 0
    max_usage: int | None = None
    limit_hits: int = 0
    oom_kills: int = 0
    pressure: Pressure | None = None


@dataclass(frozen=True, slots=True)
class DeviceTraffic:
    """What went to and from one block device: bytes and operations. `device` is its path, or its numbers."""

    major: int
    minor: int
    read_bytes: int = 0
    reads: int = 0
    written_bytes: int = 0
    writes: int = 0
    device: str = ""


@dataclass(frozen=True, slots=True)
class HugePages:
    """Huge pages of one size, by its name in the kernel ("2MB")."""

    size: str
    usage: int
    max_usage: int | None = None


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """One reading of a cgroup at `taken_at` (nanoseconds since the epoch). `threads_max` 0: no limit."""

    taken_at: int
    cpu: CpuUsage | None = None
    memory: MemoryUsage | None = None
    io_pressure: Pressure | None = None
    devices: tuple[DeviceTraffic, ...] = ()
    huge_pages: tuple[HugePages, ...] = ()
    threads: int | None = None
    threads_max: int = 0


@dataclass(frozen=True, slots=True)
class InterfaceUsage:
    """One network interface, from the pod's point of view (netdevice counters of /proc/net/dev)."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


@dataclass(frozen=True, slots=True)
class NetworkUsage:
    """Every interface of a network namespace but loopback, at `taken_at`."""

    taken_at: int
    interfaces: tuple[InterfaceUsage, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """A writable layer at `taken_at`: blocks and inodes of its own, and the room of the file system that it is on.

    `complete` is False when the tree was too large or too deep to be counted to its end.
    """

    taken_at: int
    used: int
    inodes: int
    complete: bool = True
    device: str = ""
    capacity: int = 0
    inodes_total: int = 0
    inodes_free: int = 0


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """Processes of a cgroup at `taken_at`. Descriptors and limits are counted only when details are asked for.

    `soft_limits` are those of the lowest pid, by the names of limits.conf(5); None is unlimited.
    """

    taken_at: int
    processes: int
    files: int = 0
    sockets: int = 0
    soft_limits: Mapping[str, int | None] = field(default_factory=dict)
