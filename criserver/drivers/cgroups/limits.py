"""Limits of a pod cgroup as its files (cgroup v1 and v2) or as systemd's properties. Pure: nothing is written here.

The input is linux.resources of the OCI runtime-spec (config-linux.md), as `spec.resources` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PERIOD = 100_000  # microseconds: the kernel's default for the CFS quota's period
UNLIMITED = -1
INFINITY = (1 << 64) - 1  # systemd's "infinity"

# Name, D-Bus signature and value.
Property = tuple[str, str, Any]

# Files of cgroup v2 and the properties by which systemd writes them.
_NUMBERS = {
    "cpu.weight": "CPUWeight",
    "io.weight": "IOWeight",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.max": "MemoryMax",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def v1_files(limits: Mapping[str, Any]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Controller → files and values in the order of writing (cgroup-v1 of the kernel's documentation).

    A quota must fit its period when it is written, so the period comes first.
    """
    cpu, memory = limits.get("cpu", {}), limits.get("memory", {})
    return {
        "cpu": _asked(
            ("cpu.shares", cpu.get("shares")),
            ("cpu.cfs_period_us", cpu.get("period")),
            ("cpu.cfs_quota_us", cpu.get("quota")),
        ),
        "cpuset": _asked(("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems"))),
        "memory": _asked(
            ("memory.limit_in_bytes", memory.get("limit")), ("memory.memsw.limit_in_bytes", memory.get("swap"))
        ),
    }


def v2_files(limits: Mapping[str, Any]) -> Mapping[str, Sequence[tuple[str, str]]]:
    """The same for cgroup v2 (cgroup-v2.rst); shares become a weight, and swap is counted apart from memory."""
    cpu, memory = limits.get("cpu", {}), limits.get("memory", {})
    quota = cpu.get("quota")
    swap = memory.get("swap")
    if swap is not None and swap != UNLIMITED and memory.get("limit", UNLIMITED) != UNLIMITED:
        swap -= memory["limit"]
    return {
        "cpu": _asked(
            ("cpu.weight", weight(cpu["shares"]) if "shares" in cpu else None),
            ("cpu.max", f"{_most(quota)} {cpu.get('period', PERIOD)}" if quota is not None else None),
        ),
        "cpuset": _asked(("cpuset.cpus", cpu.get("cpus")), ("cpuset.mems", cpu.get("mems"))),
        "memory": _asked(
            ("memory.max", _most(memory.get("limit"))),
            ("memory.swap.max", _most(swap)),
        ),
        "": tuple(limits.get("unified", {}).items()),
    }


def properties(limits: Mapping[str, Any], *, v2: bool) -> Sequence[Property]:
    """Properties (org.freedesktop.systemd1(5)) that say the same of a slice or scope.

    What has no property, as memory.oom.group, systemd does not write either: the file alone holds it.
    """
    cpu, memory = limits.get("cpu", {}), limits.get("memory", {})
    files = dict(pair for pairs in (v2_files if v2 else v1_files)(limits).values() for pair in pairs)
    found: list[Property] = []
    if v2:
        found += [(_NUMBERS[name], "t", _number(value)) for name, value in files.items() if name in _NUMBERS]
        found += [(_SETS[name], "ay", _bits(value)) for name, value in files.items() if name in _SETS]
        quota, _, period = files.get("cpu.max", "").partition(" ")
    else:
        found += [("CPUShares", "t", cpu["shares"])] if "shares" in cpu else []
        found += [("MemoryLimit", "t", _number(str(memory["limit"])))] if "limit" in memory else []
        quota, period = str(cpu.get("quota", "")), str(cpu.get("period", PERIOD))
    return found + (_quota(quota, int(period or PERIOD)) if quota else [])


def _quota(quota: str, period: int) -> list[Property]:
    """systemd reckons in whole percents of a CPU: rounded up, or a child could not have what it was promised."""
    percent = -(-100 * int(quota) // period) if quota.isdecimal() else None
    per_second = INFINITY if percent is None else percent * 10_000
    return [("CPUQuotaPeriodUSec", "t", period), ("CPUQuotaPerSecUSec", "t", per_second)]


def _number(value: str) -> int:
    return int(value) if value.isdecimal() else INFINITY


def _bits(numbers: str) -> bytes:
    """A list as "0-2,5" as a bit mask, the lowest byte first."""
    mask = 0
    for part in filter(None, numbers.strip().split(",")):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            mask |= 1 << number
    return mask.to_bytes(mask.bit_length() // 8 + 1, "little")


def weight(shares: int) -> int:
    """cpu.weight (1 to 10000) of cpu.shares (2 to 262144), as the kubelet maps them for its own cgroups."""
    return 1 + (max(2, min(shares, 262_144)) - 2) * 9999 // 262_142


def _asked(*pairs: tuple[str, object]) -> Sequence[tuple[str, str]]:
    return tuple((name, str(value)) for name, value in pairs if value is not None)


def _most(value: int | None) -> str | None:
    return "max" if value == UNLIMITED else None if value is None else str(value)
