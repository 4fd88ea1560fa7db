"""Resource limits as the CRI states them (LinuxContainerResources); zero and empty mean "not asked for"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HugepageLimit:
    """At most `limit` bytes of huge pages of one size, e.g. "2MB"."""

    page_size: str
    limit: int


@dataclass(frozen=True, slots=True)
class LinuxResources:
    """CPU in microseconds and shares, memory in bytes, cpusets in kernel list syntax ("0-3,7")."""

    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory_limit_in_bytes: int = 0
    memory_swap_limit_in_bytes: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    unified: Mapping[str, str] = field(default_factory=dict)
