"""LinuxContainerResources from and to protobuf. What the limits mean, and most of their bounds, is `spec.resources`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from criserver.api.convert import fields
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.resources import HugepageLimit, LinuxResources
from criserver.spec import checks

_HUGEPAGES_LIMIT = 64


def linux_resources(given: pb.LinuxContainerResources, field: str) -> LinuxResources:
    """The limits as asked; InvalidArgument for numbers that no kernel takes."""
    if len(given.hugepage_limits) > _HUGEPAGES_LIMIT:
        raise InvalidArgument(f"{field}.hugepage_limits: {len(given.hugepage_limits)}; give at most {_HUGEPAGES_LIMIT}")
    for name in ("cpu_period", "cpu_shares"):
        checks.number(getattr(given, name), 0, 2**63 - 1, f"{field}.{name}")
    for name in ("cpu_quota", "memory_limit_in_bytes", "memory_swap_limit_in_bytes"):
        checks.number(getattr(given, name), -1, 2**63 - 1, f"{field}.{name}")
    return LinuxResources(
        cpu_period=given.cpu_period,
        cpu_quota=given.cpu_quota,
        cpu_shares=given.cpu_shares,
        memory_limit_in_bytes=given.memory_limit_in_bytes,
        memory_swap_limit_in_bytes=given.memory_swap_limit_in_bytes,
        oom_score_adj=checks.number(given.oom_score_adj, -1000, 1000, f"{field}.oom_score_adj"),
        cpuset_cpus=fields.line(given.cpuset_cpus, f"{field}.cpuset_cpus"),
        cpuset_mems=fields.line(given.cpuset_mems, f"{field}.cpuset_mems"),
        hugepage_limits=tuple(HugepageLimit(limit.page_size, limit.limit) for limit in given.hugepage_limits),
        unified=fields.texts(given.unified, f"{field}.unified"),
    )


def linux_resources_pb(given: LinuxResources) -> pb.LinuxContainerResources:
    """The limits in force, for a container's status."""
    return pb.LinuxContainerResources(
        cpu_period=given.cpu_period,
        cpu_quota=given.cpu_quota,
        cpu_shares=given.cpu_shares,
        memory_limit_in_bytes=given.memory_limit_in_bytes,
        memory_swap_limit_in_bytes=given.memory_swap_limit_in_bytes,
        oom_score_adj=given.oom_score_adj,
        cpuset_cpus=given.cpuset_cpus,
        cpuset_mems=given.cpuset_mems,
        hugepage_limits=[pb.HugepageLimit(page_size=h.page_size, limit=h.limit) for h in given.hugepage_limits],
        unified=given.unified,
    )


def linux_resources_info(given: LinuxResources | None) -> dict[str, Any] | None:
    """The limits that are there, ready for JSON, by their names in the CRI; None stays None."""
    return None if given is None else {name: value for name, value in asdict(given).items() if value}
