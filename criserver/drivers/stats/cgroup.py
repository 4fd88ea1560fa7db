"""Text of cgroup files to usage, for v1, v2 and a mixture of both. Pure: knows names and contents of files only.

Most names differ between the versions and so say which it is; the file that both call cpu.stat says it by its keys.
What is missing or does not parse leaves its part unset: a file may vanish with its cgroup at any time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from criserver.model.stats import CgroupUsage, CpuUsage, DeviceTraffic, HugePages, MemoryUsage, Pressure, Stall

Files = Mapping[str, str]

# By version and controller: what is always read, and what only details need.
_FILES: Mapping[int, Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    1: {
        "cpuacct": (("cpuacct.usage",), ("cpuacct.usage_user", "cpuacct.usage_sys")),
        "cpu": ((), ("cpu.stat",)),
        "memory": (
            ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.stat"),
            ("memory.max_usage_in_bytes", "memory.failcnt", "memory.kmem.usage_in_bytes", "memory.oom_control"),
        ),
        "pids": (("pids.current",), ("pids.max",)),
        "blkio": ((), ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive")),
    },
    2: {
        "cpu": (("cpu.stat",), ()),
        "memory": (
            ("memory.current", "memory.max", "memory.swap.current", "memory.swap.max", "memory.stat"),
            ("memory.peak", "memory.events"),
        ),
        "pids": (("pids.current",), ("pids.max",)),
        "io": ((), ("io.stat",)),
    },
}
_HUGE_PAGES: Mapping[int, Sequence[str]] = {1: ("usage_in_bytes", "max_usage_in_bytes"), 2: ("current",)}
_PRESSURE: Mapping[int, Sequence[str]] = {1: (), 2: ("cpu.pressure", "memory.pressure", "io.pressure")}

_STALL = re.compile(r"^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$", re.MULTILINE)
_LINE = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)
# What is taken of memory.stat: one line in three, of a file that is read more often than any other.
_STAT = re.compile(
    r"^((?:total_)?(?:rss|cache|mapped_file|swap|inactive_file|pgfault|pgmajfault)|anon|file|file_mapped|kernel)"
    r" (\d+)$",
    re.MULTILINE,
)
_MICRO = 1000  # nanoseconds
_NO_STALL = Stall()
_NO_LIMIT = 1 << 62  # v1 says "no limit" by the largest number of pages, just below 2^63


def names(
    version: int,
    controllers: Collection[str],
    *,
    detailed: bool,
    huge_page_sizes: Iterable[str] = (),
    pressure: bool = True,
) -> Sequence[str]:
    """The files to read in a hierarchy of that version with these controllers; `pressure` is v2's, also beside v1."""
    wanted = list(_PRESSURE[version]) if pressure else []
    for controller, (basic, details) in _FILES[version].items():
        if controller in controllers:
            wanted += [*basic, *(details if detailed else ())]
    if detailed and "hugetlb" in controllers:
        wanted += [f"hugetlb.{size}.{what}" for size in sorted(huge_page_sizes) for what in _HUGE_PAGES[version]]
    return tuple(wanted)


def usage(files: Files, taken_at: int, device_name: Callable[[int, int], str] = "{}:{}".format) -> CgroupUsage:
    """Everything that the files tell; `device_name` finds the path of a block device by its numbers."""
    return CgroupUsage(
        taken_at=taken_at,
        cpu=_cpu(files),
        memory=_memory(files),
        io_pressure=pressure(files.get("io.pressure", "")),
        devices=_devices(files, device_name),
        huge_pages=tuple(_huge_pages(files)),
        threads=_number(files, "pids.current"),
        threads_max=_number(files, "pids.max") or 0,
    )


def pressure(text: str) -> Pressure | None:
    """A pressure file; None when it is empty, as where PSI is off. CPU has no "full" line on older kernels."""
    if not text:
        return None
    lines = {
        name: Stall(int(total) * _MICRO, float(ten), float(sixty), float(long))
        for name, ten, sixty, long, total in _STALL.findall(text)
    }
    return Pressure(lines["some"], lines.get("full", _NO_STALL)) if "some" in lines else None


def _cpu(files: Files) -> CpuUsage | None:
    stat = _table(files.get("cpu.stat", ""))
    total = _number(files, "cpuacct.usage")
    if total is None:
        if "usage_usec" not in stat:
            return None
        total = stat["usage_usec"] * _MICRO
    return CpuUsage(
        total=total,
        user=_number(files, "cpuacct.usage_user") or stat.get("user_usec", 0) * _MICRO,
        system=_number(files, "cpuacct.usage_sys") or stat.get("system_usec", 0) * _MICRO,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_time=stat.get("throttled_time", stat.get("throttled_usec", 0) * _MICRO),
        pressure=pressure(files.get("cpu.pressure", "")),
    )


def _memory(files: Files) -> MemoryUsage | None:
    stat = {name: int(value) for name, value in _STAT.findall(files.get("memory.stat", ""))}
    if (used := _number(files, "memory.usage_in_bytes")) is not None:
        return _memory_v1(files, stat, used)
    if (used := _number(files, "memory.current")) is not None:
        return _memory_v2(files, stat, used)
    return None


def _memory_v1(files: Files, stat: Mapping[str, int], used: int) -> MemoryUsage:
    """The total_ figures of memory.stat: they count the cgroups below as well, as usage_in_bytes does."""
    limit, both = _limit(files, "memory.limit_in_bytes"), _limit(files, "memory.memsw.limit_in_bytes")
    return MemoryUsage(
        usage=used,
        working_set=_working_set(used, stat.get("total_inactive_file", 0)),
        rss=stat.get("total_rss", 0),
        cache=stat.get("total_cache", 0),
        mapped_file=stat.get("total_mapped_file", 0),
        kernel=_number(files, "memory.kmem.usage_in_bytes") or 0,
        swap=stat.get("total_swap"),  # there only where swap is accounted
        limit=limit,
        swap_limit=max(0, both - limit) if both is not None and limit is not None else None,
        faults=max(0, stat.get("total_pgfault", 0) - stat.get("total_pgmajfault", 0)),
        major_faults=stat.get("total_pgmajfault", 0),
        max_usage=_number(files, "memory.max_usage_in_bytes"),
        limit_hits=_number(files, "memory.failcnt") or 0,
        oom_kills=_table(files.get("memory.oom_control", "")).get("oom_kill", 0),
        pressure=pressure(files.get("memory.pressure", "")),
    )


def _memory_v2(files: Files, stat: Mapping[str, int], used: int) -> MemoryUsage:
    events = _table(files.get("memory.events", ""))
    return MemoryUsage(
        usage=used,
        working_set=_working_set(used, stat.get("inactive_file", 0)),
        rss=stat.get("anon", 0),
        cache=stat.get("file", 0),
        mapped_file=stat.get("file_mapped", 0),
        kernel=stat.get("kernel", 0),
        swap=_number(files, "memory.swap.current"),
        limit=_limit(files, "memory.max"),
        swap_limit=_limit(files, "memory.swap.max"),
        faults=max(0, stat.get("pgfault", 0) - stat.get("pgmajfault", 0)),
        major_faults=stat.get("pgmajfault", 0),
        max_usage=_number(files, "memory.peak"),
        limit_hits=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
        pressure=pressure(files.get("memory.pressure", "")),
    )


def _working_set(used: int, inactive_file: int) -> int:
    """What cannot be given back easily, as the kubelet reckons it for eviction."""
    return max(0, used - inactive_file)


def _devices(files: Files, device_name: Callable[[int, int], str]) -> tuple[DeviceTraffic, ...]:
    found: dict[tuple[int, int], dict[str, int]] = {}
    for line in files.get("io.stat", "").splitlines():
        device, *words = line.split()
        pairs = dict(word.split("=", 1) for word in words if "=" in word)
        for key, name in _IO_STAT.items():
            _add(found, device, name, pairs.get(key, ""))
    for file, names in _BLKIO.items():
        for line in files.get(file, "").splitlines():
            match line.split():
                case [device, operation, value] if operation in names:
                    _add(found, device, names[operation], value)
    return tuple(
        DeviceTraffic(major, minor, device=device_name(major, minor), **values)
        for (major, minor), values in sorted(found.items())
    )


_IO_STAT = {"rbytes": "read_bytes", "rios": "reads", "wbytes": "written_bytes", "wios": "writes"}
_BLKIO = {
    "blkio.throttle.io_service_bytes_recursive": {"Read": "read_bytes", "Write": "written_bytes"},
    "blkio.throttle.io_serviced_recursive": {"Read": "reads", "Write": "writes"},
}


def _add(found: dict[tuple[int, int], dict[str, int]], device: str, name: str, value: str) -> None:
    major, _, minor = device.partition(":")
    if major.isdecimal() and minor.isdecimal() and value.isdecimal():
        found.setdefault((int(major), int(minor)), {})[name] = int(value)


def _huge_pages(files: Files) -> Iterator[HugePages]:
    for name in sorted(name for name in files if name.startswith("hugetlb.")):
        size, _, what = name.removeprefix("hugetlb.").partition(".")
        used = _number(files, name)
        if used is not None and what in ("current", "usage_in_bytes"):
            # v2 keeps no maximum.
            yield HugePages(size, used, _number(files, f"hugetlb.{size}.max_usage_in_bytes"))


def _table(text: str) -> dict[str, int]:
    """Lines of "name number"."""
    return {name: int(value) for name, value in _LINE.findall(text)}


def _number(files: Files, name: str) -> int | None:
    text = files.get(name, "").strip()
    return int(text) if text.isdecimal() else None


def _limit(files: Files, name: str) -> int | None:
    """A limit; None for v2's "max" and for v1's number that no machine reaches."""
    number = _number(files, name)
    return None if number is None or number >= _NO_LIMIT else number
