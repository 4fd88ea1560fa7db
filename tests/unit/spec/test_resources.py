"""Limits as OCI has them."""

from typing import Any

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.resources import HugepageLimit, LinuxResources
from criserver.spec.resources import merged, resources, together
from criserver.spec.wish import HostFacts, Policy

PAGES = HostFacts(hugepage_sizes=frozenset({"2MB", "1GB"}))


HOST, POLICY = HostFacts(), Policy()


def made(host: HostFacts = HOST, policy: Policy = POLICY, **wanted: Any) -> dict[str, Any]:
    return resources(LinuxResources(**wanted), host, policy)


def test_nothing_asked() -> None:
    assert made() == {}
    assert made(policy=Policy(pids_limit=-1)) == {}


def test_cpu() -> None:
    wanted: dict[str, Any] = {
        "cpu_shares": 512,
        "cpu_quota": 50000,
        "cpu_period": 100000,
        "cpuset_cpus": "0-3,7",
        "cpuset_mems": "0",
    }
    cpu = {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-3,7", "mems": "0"}
    assert made(**wanted) == {"cpu": cpu}


@pytest.mark.parametrize(("shares", "given"), [(1, 2), (2, 2), (262144, 262144), (10**9, 262144)])
def test_shares_are_what_the_kernel_makes_of_them(shares: int, given: int) -> None:
    assert made(cpu_shares=shares) == {"cpu": {"shares": given}}


def test_no_limit_is_said_in_an_update_only() -> None:
    unlimited = LinuxResources(cpu_quota=-1, memory_limit_in_bytes=-1)
    assert resources(unlimited, HostFacts(), Policy()) == {}
    changed = resources(unlimited, HostFacts(), Policy(), update=True)
    assert changed == {"cpu": {"quota": -1}, "memory": {"limit": -1, "swap": -1}}


def test_memory_without_a_word_on_swap_allows_none() -> None:
    assert made(memory_limit_in_bytes=100)["memory"] == {"limit": 100, "swap": 100}
    assert made(memory_limit_in_bytes=100, memory_swap_limit_in_bytes=150)["memory"] == {"limit": 100, "swap": 150}
    assert made(HostFacts(swap_accounting=False), memory_limit_in_bytes=100)["memory"] == {"limit": 100}


def test_too_little_memory_to_start() -> None:
    policy = Policy(minimum_memory=12 << 20)
    with pytest.raises(InvalidArgument, match="give at least 12582912"):
        made(policy=policy, memory_limit_in_bytes=1 << 20)
    assert made(policy=policy, memory_limit_in_bytes=12 << 20)


def test_pids() -> None:
    assert made(policy=Policy(pids_limit=100)) == {"pids": {"limit": 100}}


def test_hugepages() -> None:
    limits = (HugepageLimit("2MB", 0), HugepageLimit("1GB", 1 << 30), HugepageLimit("2MB", 1 << 21))
    assert made(PAGES, hugepage_limits=limits)["hugepageLimits"] == [
        {"pageSize": "1GB", "limit": 1 << 30},
        {"pageSize": "2MB", "limit": 1 << 21},
    ]


def test_hugepages_that_the_host_cannot_limit() -> None:
    assert made(hugepage_limits=(HugepageLimit("2MB", 0),)) == {}
    with pytest.raises(FailedPrecondition, match="64KB: this host cannot limit .* it can: 1GB, 2MB"):
        made(PAGES, hugepage_limits=(HugepageLimit("64KB", 1),))


def test_unified() -> None:
    unified = {"memory.high": "1", "io.max": "8:0 rbps=1\n8:1 rbps=2"}
    assert made(unified=unified) == {"unified": dict(sorted(unified.items()))}
    with pytest.raises(FailedPrecondition, match="needs cgroup v2"):
        made(HostFacts(cgroup_v2=False), unified=unified)


@pytest.mark.parametrize("key", ["", "memory", "../x.y", "a/b.c", "cgroup.procs", "cgroup.kill", ".x", "a.b\n"])
def test_unified_keys_are_files_of_controllers(key: str) -> None:
    with pytest.raises(InvalidArgument, match="unified"):
        made(unified={key: "1"})


@pytest.mark.parametrize(
    "wanted",
    [
        {"cpu_shares": -1},
        {"cpu_period": 999},
        {"cpu_period": 1_000_001},
        {"cpu_quota": 999},
        {"cpu_quota": -2},
        {"cpuset_cpus": "0-"},
        {"cpuset_cpus": "all"},
        {"cpuset_cpus": "0\n"},
        {"cpuset_mems": "0;1"},
        {"memory_limit_in_bytes": -2},
        {"memory_swap_limit_in_bytes": 100},
        {"memory_limit_in_bytes": 100, "memory_swap_limit_in_bytes": 99},
        {"hugepage_limits": (HugepageLimit("2M", 1),)},
        {"hugepage_limits": (HugepageLimit("2MB", 2**64 - 1),)},
        {"unified": {"memory.high": "a\0"}},
    ],
)
def test_refusals(wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=f"resources.{next(reversed(wanted))}"):
        made(PAGES, **wanted)


def test_an_update_changes_what_it_asks_for() -> None:
    now = LinuxResources(cpu_shares=5, cpu_quota=2000, memory_limit_in_bytes=10, memory_swap_limit_in_bytes=20,
                         oom_score_adj=3, unified={"a.b": "1", "c.d": "2"})  # fmt: skip
    asked = LinuxResources(cpu_quota=-1, oom_score_adj=900, cpuset_cpus="0", unified={"c.d": "3"})
    assert merged(now, asked) == LinuxResources(
        cpu_shares=5, cpu_quota=-1, cpuset_cpus="0", memory_limit_in_bytes=10, memory_swap_limit_in_bytes=20,
        oom_score_adj=900, unified={"a.b": "1", "c.d": "3"},
    )  # fmt: skip
    raised = merged(now, LinuxResources(memory_limit_in_bytes=30))
    assert (raised.memory_limit_in_bytes, raised.memory_swap_limit_in_bytes) == (30, 0), "the old swap limit is below"


def test_huge_pages_of_an_update() -> None:
    now = LinuxResources(hugepage_limits=(HugepageLimit("2MB", 4),))
    kubelet = (HugepageLimit("2MB", 4), HugepageLimit("1GB", 0))
    assert merged(now, LinuxResources(hugepage_limits=kubelet)) == now
    assert merged(now, LinuxResources(hugepage_limits=(HugepageLimit("2MB", 0),))) != now


def test_a_pod_is_its_containers_and_the_overhead() -> None:
    limits = LinuxResources(cpu_shares=100, cpu_period=50000, cpu_quota=25000, memory_limit_in_bytes=10)
    overhead = LinuxResources(cpu_shares=2, cpu_quota=10000, memory_limit_in_bytes=5)
    assert together(limits, overhead) == LinuxResources(
        cpu_shares=102, cpu_period=50000, cpu_quota=30000, memory_limit_in_bytes=15
    )
    assert together(LinuxResources(cpu_quota=-1), overhead) == LinuxResources(cpu_quota=-1), "no limit stays none"
