from __future__ import annotations

import pytest

from criserver.config.schema import CgroupDriver
from criserver.doctor.cgroups import CgroupFacts, judge
from criserver.doctor.finding import Severity

ALL = frozenset({"cpu", "cpuset", "hugetlb", "io", "memory", "pids"})
V1 = frozenset({"cpu", "cpuacct", "cpuset", "hugetlb", "blkio", "memory", "pids", "name=systemd"})


def facts(
    v1: frozenset[str] = frozenset(),
    v2: frozenset[str] | None = ALL,
    *,
    systemd: bool = True,
    driver: CgroupDriver = CgroupDriver.AUTO,
) -> CgroupFacts:
    return CgroupFacts(v1, v2, systemd, driver)


def told(host: CgroupFacts) -> dict[str, Severity]:
    return {each.what: each.severity for each in judge(host)}


def test_v2_with_everything() -> None:
    assert list(told(facts()).values()) == [Severity.OK]


@pytest.mark.parametrize(
    ("host", "words", "severity"),
    [
        (facts(v2=None), "no cgroup hierarchy is mounted", Severity.ERROR),
        (facts(v2=ALL - {"memory"}), "controllers are missing: memory", Severity.ERROR),
        (facts(v2=ALL - {"hugetlb"}), "controllers are missing: hugetlb", Severity.NOTE),
        (facts(V1, None), "cgroup v1 is in use", Severity.WARNING),
        (facts(V1, frozenset()), "hybrid: v2 is mounted without controllers", Severity.WARNING),
        (facts(V1 - {"hugetlb"}, frozenset({"hugetlb"})), "share the controllers: hugetlb on v2", Severity.WARNING),
        (facts(systemd=False, driver=CgroupDriver.SYSTEMD), "systemd does not run here", Severity.ERROR),
        (facts(driver=CgroupDriver.CGROUPFS), "cgroupfs under systemd", Severity.NOTE),
    ],
)
def test_what_is_said(host: CgroupFacts, words: str, severity: Severity) -> None:
    found = [kind for what, kind in told(host).items() if words in what]
    assert found == [severity]


def test_a_named_hierarchy_is_no_v1() -> None:
    """systemd mounts name=systemd beside v2 on some hosts."""
    assert not [what for what in told(facts(frozenset({"name=systemd"}))) if "v1" in what]
