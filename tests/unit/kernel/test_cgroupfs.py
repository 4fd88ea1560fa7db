"""Cgroup hierarchies are found in the mount tables of the machines there are: recorded ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from criserver.kernel import cgroupfs
from criserver.kernel.cgroupfs import Hierarchy, parse_hierarchies, parse_proc_cgroup
from criserver.kernel.mount import parse_mountinfo

V2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

# systemd's hybrid mode: v1 controllers, some of them mounted together, and cgroup2 for systemd's own tracking.
HYBRID = """31 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
36 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct
37 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory
38 31 0:33 / /sys/fs/cgroup/cpuset rw,nosuid shared:16 - cgroup cgroup rw,cpuset,clone_children
"""

# A machine without systemd: one v1 mount for each controller, and a cgroup2 mount that only hugetlb is left to.
MIXED = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""

# A node in a container: a part of the hierarchy is bound elsewhere too.
NESTED = """50 40 0:32 /docker/abc /host/cgroup/memory rw - cgroup cgroup rw,memory
51 41 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
52 41 0:32 / /mnt/again rw - cgroup cgroup rw,memory
"""


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (V2, [Hierarchy("/sys/fs/cgroup", 2, frozenset())]),
        (
            HYBRID,
            [
                Hierarchy("/sys/fs/cgroup/unified", 2, frozenset()),
                Hierarchy("/sys/fs/cgroup/systemd", 1, frozenset({"name=systemd"})),
                Hierarchy("/sys/fs/cgroup/cpu,cpuacct", 1, frozenset({"cpu", "cpuacct"})),
                Hierarchy("/sys/fs/cgroup/memory", 1, frozenset({"memory"})),
                Hierarchy("/sys/fs/cgroup/cpuset", 1, frozenset({"cpuset"})),
            ],
        ),
        (
            MIXED,
            [
                Hierarchy("/sys/fs/cgroup/cpu", 1, frozenset({"cpu"})),
                Hierarchy("/sys/fs/cgroup/memory", 1, frozenset({"memory"})),
                Hierarchy("/sys/fs/cgroup/pids", 1, frozenset({"pids"})),
                Hierarchy("/sys/fs/cgroup/unified", 2, frozenset()),
            ],
        ),
        (NESTED, [Hierarchy("/sys/fs/cgroup/memory", 1, frozenset({"memory"}))]),
        ("22 27 0:21 / /proc rw,relatime - proc proc rw\n", []),
    ],
)
def test_hierarchies_of_recorded_machines(table: str, expected: list[Hierarchy]) -> None:
    assert list(parse_hierarchies(parse_mountinfo(table))) == expected


def test_proc_cgroup_of_v1_hybrid_and_v2() -> None:
    text = "12:cpu,cpuacct:/kubepods/pod1\n3:memory:/a:b\n1:name=systemd:/\n0::/user.slice\n"
    assert parse_proc_cgroup(text) == {
        "cpu": "/kubepods/pod1",
        "cpuacct": "/kubepods/pod1",
        "memory": "/a:b",
        "name=systemd": "/",
        "": "/user.slice",
    }
    assert parse_proc_cgroup("0::/\n") == {"": "/"}


def test_directory_of_a_cgroup() -> None:
    hierarchy = Hierarchy("/sys/fs/cgroup/cpu", 1, frozenset({"cpu"}))
    assert hierarchy.directory("/a/b") == "/sys/fs/cgroup/cpu/a/b"
    assert hierarchy.directory("/") == "/sys/fs/cgroup/cpu"


class Files:
    """A hierarchy of plain files, for what does not need a kernel behind them."""

    def __init__(self, directory: Path, version: int, *controllers: str) -> None:
        self.top = directory
        self.hierarchy = Hierarchy(str(directory), version, frozenset(controllers))

    def cgroup(self, path: str, **files: str) -> Path:
        (self.top / path).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (self.top / path / name.replace("__", ".")).write_text(content)
        return self.top / path


def test_new_v1_cpuset_gets_its_parents_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path, 1, "cpuset")
    files.cgroup("", cpuset__cpus="0-3\n", cpuset__mems="0\n")
    make = os.mkdir

    def mkdir(path: str, mode: int) -> None:
        make(path, mode)
        for name in ("cpuset.cpus", "cpuset.mems"):
            Path(path, name).write_text("\n")  # as the kernel fills a new cgroup

    monkeypatch.setattr("os.mkdir", mkdir)
    assert cgroupfs.make(files.hierarchy, "/a/b")
    assert (tmp_path / "a/cpuset.cpus").read_text() == "0-3"
    assert (tmp_path / "a/b/cpuset.mems").read_text() == "0"


def test_a_parent_that_somebody_else_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, make, others = Files(tmp_path, 1, "pids"), os.mkdir, ["once", "twice"]

    def mkdir(path: str, mode: int) -> None:
        if path.endswith("/a/b") and others:
            others.pop()
            os.rmdir(os.path.dirname(path))  # it was the last pod of its parent that went
        make(path, mode)

    monkeypatch.setattr("os.mkdir", mkdir)
    assert cgroupfs.make(files.hierarchy, "/a/b")
    assert (tmp_path / "a/b").is_dir()
    with pytest.raises(FileNotFoundError):
        cgroupfs.make(Hierarchy(str(tmp_path / "none"), 1, frozenset({"pids"})), "/a")


def test_v2_parents_delegate_each_controller_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path, 2, "cpu", "memory", "rdma")
    files.cgroup("", cgroup__controllers="cpu memory rdma\n", cgroup__subtree_control="cpu\n")
    files.cgroup("a", cgroup__controllers="cpu memory\n", cgroup__subtree_control="\n")
    written: list[tuple[str, str]] = []

    def write(path: str, value: str) -> None:
        written.append((str(Path(path).relative_to(tmp_path)), value))
        if value == "+rdma":
            raise OSError(16, "busy", path)

    monkeypatch.setattr(cgroupfs, "_write", write)
    assert cgroupfs.make(files.hierarchy, "/a/b")
    assert sorted(written) == [
        ("a/cgroup.subtree_control", "+cpu"),
        ("a/cgroup.subtree_control", "+memory"),
        ("cgroup.subtree_control", "+memory"),
        ("cgroup.subtree_control", "+rdma"),
    ]


def test_v2_beside_v1_delegates_nothing(tmp_path: Path) -> None:
    files = Files(tmp_path, 2, "hugetlb")
    files.cgroup("", cgroup__controllers="hugetlb\n", cgroup__subtree_control="\n")
    assert cgroupfs.make(files.hierarchy, "/a")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "\n"


def test_child_of_a_cgroup_with_processes_gets_no_controllers(tmp_path: Path) -> None:
    files = Files(tmp_path, 2, "cpu")
    files.cgroup("pod", cgroup__controllers="cpu\n", cgroup__subtree_control="\n")
    cgroupfs.make_child(files.hierarchy, "/pod", "exec")
    assert (tmp_path / "pod/exec").is_dir()
    assert (tmp_path / "pod/cgroup.subtree_control").read_text() == "\n"
    with pytest.raises(FileNotFoundError):
        cgroupfs.make_child(files.hierarchy, "/missing", "exec")


def test_procs_files_only_where_the_cgroup_is(tmp_path: Path) -> None:
    one, two = Files(tmp_path / "one", 1, "cpu"), Files(tmp_path / "two", 1, "pids")
    one.cgroup("a")
    two.cgroup("b")
    assert cgroupfs.procs_files([one.hierarchy, two.hierarchy], "/a") == (str(tmp_path / "one/a/cgroup.procs"),)


def test_kill_on_v2_is_one_write(tmp_path: Path) -> None:
    files = Files(tmp_path, 2)
    files.cgroup("a", cgroup__procs="", cgroup__kill="")
    files.cgroup("a/b", cgroup__procs="", cgroup__kill="")
    assert cgroupfs.kill([files.hierarchy], "/a") == frozenset()
    assert (tmp_path / "a/cgroup.kill").read_text() == "1"


def test_processes_below_count(tmp_path: Path) -> None:
    files = Files(tmp_path, 1, "pids")
    files.cgroup("a", cgroup__procs="12\n34\n")
    files.cgroup("a/b/c", cgroup__procs="56\n0\n")
    files.cgroup("other", cgroup__procs="99\n")
    assert cgroupfs.processes(files.hierarchy, "/a") == {12, 34, 56, 0}
    assert cgroupfs.processes(files.hierarchy, "/missing") == frozenset()
