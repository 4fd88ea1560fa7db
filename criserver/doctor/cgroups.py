"""Cgroups: which hierarchies there are, whether they have what limits need, and whether the driver fits the host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from criserver.config.schema import CgroupDriver, Config
from criserver.doctor.finding import Finding, error, note, ok, warning
from criserver.kernel import cgroupfs

NEEDED = ("cpu", "memory", "pids")
HELPFUL = ("cpuset", "hugetlb", "io")
_BOOT = "boot with systemd.unified_cgroup_hierarchy=1 (and without cgroup_disable=)"


@dataclass(frozen=True, slots=True)
class CgroupFacts:
    """Controllers of the v1 hierarchies and of the unified one (None: not mounted); `systemd` is process 1."""

    v1: frozenset[str]
    v2: frozenset[str] | None
    systemd: bool
    driver: CgroupDriver


async def read(config: Config) -> CgroupFacts:
    """Look at what is mounted."""
    found = cgroupfs.hierarchies()
    unified = [frozenset(each.controllers) for each in found if each.version == 2]
    return CgroupFacts(
        v1=frozenset(name for each in found if each.version == 1 for name in each.controllers),
        v2=unified[0] if unified else None,
        systemd=os.path.isdir("/run/systemd/system"),
        driver=config.runtime.cgroup_driver,
    )


def judge(facts: CgroupFacts) -> Iterator[Finding]:
    """Findings about cgroups."""
    v1 = {name for name in facts.v1 if not name.startswith("name=")}
    v2 = facts.v2 or frozenset()
    if not v1 and facts.v2 is None:
        yield error(
            "no cgroup hierarchy is mounted", "containers cannot be limited, counted or killed",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        )  # fmt: skip
        return
    yield from _layout(v1, v2, mounted=facts.v2 is not None)
    if missing := sorted(set(NEEDED) - v1 - v2):
        yield error(f"controllers are missing: {', '.join(missing)}", "containers cannot be limited", _BOOT)
    if missing := sorted(set(HELPFUL) - v1 - v2 - ({"io"} if "blkio" in v1 else set())):
        yield note(f"controllers are missing: {', '.join(missing)}", "the limits that need them are refused", _BOOT)
    yield from _driver(facts)


def _layout(v1: set[str], v2: frozenset[str], *, mounted: bool) -> Iterator[Finding]:
    if not v1:
        yield ok(f"cgroup v2 with {', '.join(sorted(v2))}")
        return
    if v2:
        yield warning(
            f"cgroup v1 and v2 share the controllers: {', '.join(sorted(v2))} on v2",
            "crun refuses such a mix; limits of those on v2 do not reach containers of runc",
            _BOOT,
        )
    yield warning(
        "cgroup v1 is in use" + (" (hybrid: v2 is mounted without controllers)" if mounted and not v2 else ""),
        "containers run; kubelets from 1.35 on refuse to start unless told failCgroupV1: false",
        _BOOT,
    )


def _driver(facts: CgroupFacts) -> Iterator[Finding]:
    if facts.driver is CgroupDriver.SYSTEMD and not facts.systemd:
        yield error(
            "runtime.cgroup_driver is systemd, and systemd does not run here", "the server does not start",
            "set runtime.cgroup_driver: cgroupfs (or auto)",
        )  # fmt: skip
    if facts.driver is CgroupDriver.CGROUPFS and facts.systemd and not facts.v1:
        yield note(
            "runtime.cgroup_driver is cgroupfs under systemd", "two managers write one tree",
            "set runtime.cgroup_driver: systemd, and the kubelet's cgroupDriver likewise",
        )  # fmt: skip
