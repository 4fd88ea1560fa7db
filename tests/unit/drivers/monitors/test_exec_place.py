"""Where an exec gets its own cgroup, on the hierarchies and runtimes that there are."""

from __future__ import annotations

import pytest

from criserver.drivers.monitors.exec_place import cgroup_flag, exec_hierarchy
from criserver.kernel.cgroupfs import Hierarchy

MEMORY = Hierarchy("/sys/fs/cgroup/memory", 1, frozenset({"memory"}))
PIDS = Hierarchy("/sys/fs/cgroup/pids", 1, frozenset({"pids"}))
HUGETLB = Hierarchy("/sys/fs/cgroup/unified", 2, frozenset({"hugetlb"}))
V2 = Hierarchy("/sys/fs/cgroup", 2, frozenset({"cpu", "memory", "pids"}))

RUNC = b"--cgroup value   run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>."
CRUN = b"--cgroup=PATH    sub-cgroup in the container"
OTHER = b"--detach"


@pytest.mark.parametrize(
    ("hierarchies", "expected"),
    [([V2], V2), ([HUGETLB, MEMORY, PIDS], PIDS), ([MEMORY, HUGETLB], None), ([], None)],
)
def test_never_a_memory_cgroup(hierarchies: list[Hierarchy], expected: Hierarchy | None) -> None:
    assert exec_hierarchy(hierarchies) == expected


@pytest.mark.parametrize(
    ("help_text", "hierarchy", "flags"),
    [
        (RUNC, V2, ("--cgroup", "exec-1")),
        (CRUN, V2, ("--cgroup", "exec-1")),
        (RUNC, PIDS, ("--cgroup", "pids:exec-1")),
        (CRUN, PIDS, ()),
        (OTHER, V2, ()),
        (RUNC, None, ()),
    ],
)
def test_flags_that_the_runtime_knows(help_text: bytes, hierarchy: Hierarchy | None, flags: tuple[str, ...]) -> None:
    assert cgroup_flag(help_text, hierarchy, "exec-1") == flags
