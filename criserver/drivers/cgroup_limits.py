"""Limits of a pod cgroup as its files (cgroup v1 and v2) or as systemd's properties. Pure: nothing is written here.

The input is linux.resources of the OCI runtime-spec (config-linux.md), as `spec.resources` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PERIOD = 100_000  # microseconds: the kernel's default for the CFS quota's period
UNLIMITED = -1


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


def properties(limits: Mapping[str, Any], *, v2: bool) -> tuple[str, ...]:
    """Arguments of `systemctl set-property` (systemd.resource-control(5)) that say the same of a slice."""
    cpu, memory = limits.get("cpu", {}), limits.get("memory", {})
    quota = cpu.get("quota")
    percent = "" if quota == UNLIMITED else f"{100 * (quota or 0) / cpu.get('period', PERIOD):.2f}%"
    most = {key: "infinity" if value == UNLIMITED else value for key, value in memory.items()}
    shares = cpu.get("shares")
    weighed = ("CPUWeight", weight(shares) if shares else None) if v2 else ("CPUShares", shares)
    asked = _asked(
        weighed,
        ("CPUQuota", percent if quota is not None else None),
        ("AllowedCPUs", cpu.get("cpus") if v2 else None),
        ("AllowedMemoryNodes", cpu.get("mems") if v2 else None),
        ("MemoryMax" if v2 else "MemoryLimit", most.get("limit")),
    )
    return tuple(f"{name}={value}" for name, value in asked)


def weight(shares: int) -> int:
    """cpu.weight (1 to 10000) of cpu.shares (2 to 262144), as the kubelet maps them for its own cgroups."""
    return 1 + (max(2, min(shares, 262_144)) - 2) * 9999 // 262_142


def _asked(*pairs: tuple[str, object]) -> Sequence[tuple[str, str]]:
    return tuple((name, str(value)) for name, value in pairs if value is not None)


def _most(value: int | None) -> str | None:
    return "max" if value == UNLIMITED else None if value is None else str(value)
