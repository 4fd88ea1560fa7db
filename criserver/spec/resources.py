"""Resource limits: the CRI's numbers as OCI's linux.resources, for cgroup v1 and v2, in create and update.

The runtime turns shares and limits into the files of its cgroup version; what only one version has is refused here.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.resources import LinuxResources
from criserver.spec import checks
from criserver.spec.wish import HostFacts, Policy

_CPUS = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_PAGE_SIZE = re.compile("[1-9][0-9]*[KMG]B")
_UNIFIED_KEY = re.compile(r"[a-z0-9_]+\.[A-Za-z0-9_.]+")
_INT64_MAX = 2**63 - 1
_PERIOD = 100_000  # microseconds: the kernel's default


def resources(
    wanted: LinuxResources, host: HostFacts, policy: Policy, field: str = "resources", *, update: bool = False
) -> dict[str, Any]:
    """linux.resources without device rules; only what is asked for is in it.

    Units are the CRI's: microseconds, bytes, shares of 1024. `field` begins the field names of errors. -1, "no limit",
    is said in an `update` only: a new cgroup has none, and crun 1.8 cannot write it.
    """
    parts: dict[str, Any] = {
        "cpu": _limits(_cpu(wanted, field), update=update),
        "memory": _limits(_memory(wanted, host, policy, field), update=update),
        "hugepageLimits": _hugepages(wanted, host, field),
        "unified": _unified(wanted, host, field),
        "pids": {"limit": policy.pids_limit} if policy.pids_limit > 0 else {},
    }
    return {key: part for key, part in parts.items() if part}


def merged(now: LinuxResources, asked: LinuxResources) -> LinuxResources:
    """The limits after an update: what is asked for counts, the rest stays as it is.

    A new memory limit without a word on swap allows none, as in create.
    """
    names = {field.name for field in fields(asked)} - {"unified", "hugepage_limits"}
    changes = {name: getattr(asked, name) for name in names if getattr(asked, name)}
    if asked.memory_limit_in_bytes:
        changes["memory_swap_limit_in_bytes"] = asked.memory_swap_limit_in_bytes
    pages = {limit.page_size: limit for limit in now.hugepage_limits}
    pages |= {limit.page_size: limit for limit in asked.hugepage_limits if limit.limit or limit.page_size in pages}
    return replace(now, **changes, unified={**now.unified, **asked.unified}, hugepage_limits=tuple(pages.values()))


def together(limits: LinuxResources, overhead: LinuxResources) -> LinuxResources:
    """Limits of a pod's cgroup: those of its containers and what the runtime takes on top.

    What the containers have no limit of has none with the overhead either; a quota is counted in their period.
    """
    period, other = limits.cpu_period or _PERIOD, overhead.cpu_period or _PERIOD
    return replace(
        limits,
        cpu_shares=_sum(limits.cpu_shares, overhead.cpu_shares),
        cpu_quota=_sum(limits.cpu_quota, overhead.cpu_quota * period // other),
        memory_limit_in_bytes=_sum(limits.memory_limit_in_bytes, overhead.memory_limit_in_bytes),
        memory_swap_limit_in_bytes=_sum(
            limits.memory_swap_limit_in_bytes, overhead.memory_swap_limit_in_bytes or overhead.memory_limit_in_bytes
        ),
    )


def _sum(limit: int, more: int) -> int:
    return limit + max(0, more) if limit > 0 else limit


def _limits(part: dict[str, Any], *, update: bool) -> dict[str, Any]:
    return {key: value for key, value in part.items() if update or value != -1}


def _cpu(wanted: LinuxResources, field: str) -> dict[str, Any]:
    """cgroups-v1 cpu and cpuset; bounds are the kernel's (sched-bwc.rst: 1 ms to 1 s, quota at least 1 ms)."""
    result: dict[str, Any] = {}
    if wanted.cpu_shares:
        # The kernel takes less than 2 as 2; crun refuses what the kernel would only correct.
        result["shares"] = max(2, min(checks.number(wanted.cpu_shares, 0, _INT64_MAX, f"{field}.cpu_shares"), 262144))
    if wanted.cpu_quota:
        low = -1 if wanted.cpu_quota < 0 else 1000
        result["quota"] = checks.number(wanted.cpu_quota, low, _INT64_MAX // 1000, f"{field}.cpu_quota")
    if wanted.cpu_period:
        result["period"] = checks.number(wanted.cpu_period, 1000, 1_000_000, f"{field}.cpu_period")
    if wanted.cpuset_cpus:
        result["cpus"] = _list(wanted.cpuset_cpus, f"{field}.cpuset_cpus")
    if wanted.cpuset_mems:
        result["mems"] = _list(wanted.cpuset_mems, f"{field}.cpuset_mems")
    return result


def _list(given: str, field: str) -> str:
    if len(given) > 4096 or not _CPUS.fullmatch(given):
        raise InvalidArgument(f"{field}: {given[:80]!r} is not a list of numbers and ranges; give one such as 0-3,7")
    return given


def _memory(wanted: LinuxResources, host: HostFacts, policy: Policy, field: str) -> dict[str, Any]:
    """Memory, and memory with swap: a limit without a word on swap allows none, where the kernel counts swap."""
    limit, swap = wanted.memory_limit_in_bytes, wanted.memory_swap_limit_in_bytes
    checks.number(limit, -1, _INT64_MAX, f"{field}.memory_limit_in_bytes")
    checks.number(swap, -1, _INT64_MAX, f"{field}.memory_swap_limit_in_bytes")
    if 0 < limit < policy.minimum_memory:
        raise InvalidArgument(
            f"{field}.memory_limit_in_bytes: {limit} is too low to start a container; "
            f"give at least {policy.minimum_memory}"
        )
    if swap > 0 and limit <= 0:
        raise InvalidArgument(f"{field}.memory_swap_limit_in_bytes: {swap} without a memory limit; give both")
    if 0 < swap < limit:
        raise InvalidArgument(
            f"{field}.memory_swap_limit_in_bytes: {swap} counts memory and swap together; give at least the memory "
            f"limit, {limit}"
        )
    result = {"limit": limit} if limit else {}
    if host.swap_accounting and (swap or limit):
        result["swap"] = swap or limit
    return result


def _hugepages(wanted: LinuxResources, host: HostFacts, field: str) -> list[dict[str, Any]]:
    result = {}
    for asked in wanted.hugepage_limits:
        if not _PAGE_SIZE.fullmatch(asked.page_size):
            raise InvalidArgument(
                f"{field}.hugepage_limits: page size {asked.page_size!r}; give one such as 2MB or 1GB"
            )
        checks.number(asked.limit, 0, _INT64_MAX, f"{field}.hugepage_limits {asked.page_size}")
        if asked.page_size in host.hugepage_sizes:
            result[asked.page_size] = {"pageSize": asked.page_size, "limit": asked.limit}
        elif asked.limit:
            # None at all of a size that the host does not have needs no limit: the kubelet asks so for every pod.
            raise FailedPrecondition(
                f"{field}.hugepage_limits: {asked.page_size}: this host cannot limit huge pages of that size; "
                f"it can: {', '.join(sorted(host.hugepage_sizes)) or 'none'}"
            )
    return [result[size] for size in sorted(result)]


def _unified(wanted: LinuxResources, host: HostFacts, field: str) -> dict[str, str]:
    if not wanted.unified:
        return {}
    if not host.cgroup_v2:
        raise FailedPrecondition(
            f"{field}.unified: needs cgroup v2, and this host has v1; use the other resource fields"
        )
    for key, value in wanted.unified.items():
        if not _UNIFIED_KEY.fullmatch(key) or key.startswith("cgroup."):
            raise InvalidArgument(f"{field}.unified: {key!r} is not a controller's file; give one such as memory.high")
        if len(value) > 4096 or any(ord(letter) < 32 and letter != "\n" for letter in value):
            raise InvalidArgument(f"{field}.unified: value of {key} is too long or holds control characters")
    return {key: wanted.unified[key] for key in sorted(wanted.unified)}
