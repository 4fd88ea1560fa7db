import os
import socket
from pathlib import Path

from criserver.drivers.stats import tasks
from criserver.kernel.cgroupfs import Hierarchy


def tree(path: Path, pids: list[int]) -> Hierarchy:
    (path / "pod" / "inner").mkdir(parents=True)
    (path / "pod" / "cgroup.procs").write_text("")
    (path / "pod" / "inner" / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    return Hierarchy(str(path), 1, frozenset({"pids"}))


def test_processes_and_their_descriptors(tmp_path: Path) -> None:
    hierarchy = tree(tmp_path, [os.getpid()])
    with socket.socket():
        found = tasks.look(hierarchy, "/pod", 3, detailed=True)
    assert found is not None
    assert (found.taken_at, found.processes) == (3, 1)
    assert found.files >= found.sockets >= 1
    assert found.soft_limits["nofile"] is not None


def test_without_details_nothing_is_opened(tmp_path: Path) -> None:
    found = tasks.look(tree(tmp_path, [os.getpid(), 4194999]), "/pod", 3, detailed=False)
    assert found is not None
    assert (found.processes, found.files, dict(found.soft_limits)) == (2, 0, {})


def test_processes_that_have_ended_have_no_descriptors(tmp_path: Path) -> None:
    found = tasks.look(tree(tmp_path, [4194999]), "/pod", 3, detailed=True)
    assert found is not None
    assert (found.processes, found.files, dict(found.soft_limits)) == (1, 0, {})


def test_no_cgroup_is_none(tmp_path: Path) -> None:
    assert tasks.look(tree(tmp_path, []), "/other", 3, detailed=True) is None


def test_of_one_thread_no_list_of_processes_is_made(tmp_path: Path) -> None:
    hierarchy = tree(tmp_path, [os.getpid()])
    (tmp_path / "pod" / "pids.current").write_text("1\n")
    (tmp_path / "pod" / "inner" / "cgroup.procs").unlink()
    found = tasks.look(hierarchy, "/pod", 3, detailed=False)
    assert found is not None
    assert found.processes == 1
