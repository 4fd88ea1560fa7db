"""Cgroups of this machine, whatever hierarchies it has: made, filled, killed, removed; only the test's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from criserver.kernel import cgroupfs
from criserver.kernel.cgroupfs import Hierarchy, hierarchies


@pytest.fixture
def every() -> tuple[Hierarchy, ...]:
    found = hierarchies()
    if not found:
        pytest.skip("no cgroup hierarchy is mounted")
    return found


@pytest.fixture
def top(every: tuple[Hierarchy, ...]) -> Iterator[str]:
    """The name of a cgroup that is gone in the end, with all below it."""
    name = f"/criserver-test-{os.getpid()}-{os.urandom(4).hex()}"
    yield name
    cgroupfs.kill(every, name)
    for hierarchy in every:
        assert cgroupfs.remove(hierarchy, name)


def enter(every: Sequence[Hierarchy], cgroup: str, script: str) -> subprocess.Popen[bytes]:
    """A shell that enters the cgroup in every hierarchy, runs the script, and says when it has."""
    files = cgroupfs.procs_files(every, cgroup)
    enters = "; ".join(f"echo $$ >{file}" for file in files)
    child = subprocess.Popen(["sh", "-c", f"{enters}; {script}"], stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    return child


def test_make_and_remove_in_every_hierarchy(every: tuple[Hierarchy, ...], top: str) -> None:
    for hierarchy in every:
        assert cgroupfs.make(hierarchy, f"{top}/a/b")
        assert not cgroupfs.make(hierarchy, f"{top}/a/b")
        assert cgroupfs.exists(hierarchy, f"{top}/a/b")
        assert cgroupfs.remove(hierarchy, f"{top}/a")
        assert cgroupfs.exists(hierarchy, top)
        assert cgroupfs.remove(hierarchy, f"{top}/a")


def test_new_cgroup_takes_processes_and_is_killed_with_its_children(every: tuple[Hierarchy, ...], top: str) -> None:
    for hierarchy in every:
        cgroupfs.make(hierarchy, f"{top}/leaf")
    with enter(every, f"{top}/leaf", "sleep 1000 & echo ready; wait") as child:
        assert all(child.pid in cgroupfs.processes(hierarchy, top) for hierarchy in every)
        assert not any(cgroupfs.remove(hierarchy, top) for hierarchy in every)
        assert cgroupfs.kill(every, top) == frozenset()
        assert child.wait(10) == -9
        assert not any(cgroupfs.processes(hierarchy, top) for hierarchy in every)


def test_fork_bomb_is_killed(every: tuple[Hierarchy, ...], top: str) -> None:
    if not any({"pids"} <= hierarchy.controllers or hierarchy.version == 2 for hierarchy in every):
        pytest.skip("neither a pids controller nor cgroup v2 is there")
    for hierarchy in every:
        cgroupfs.make(hierarchy, top)
    # Every process replaces itself all the time, at most a few at once.
    script = "f() { while :; do sh -c 'sleep 0.01 & exit' & sleep 0.02; done; }; f & f & echo ready; wait"
    with enter(every, top, script) as child:
        assert cgroupfs.kill(every, top) == frozenset()
        assert child.wait(10) == -9


def test_frozen_cgroup_is_killed(every: tuple[Hierarchy, ...], top: str) -> None:
    for hierarchy in every:
        cgroupfs.make(hierarchy, top)
    files = [Path(hierarchy.directory(top), name) for hierarchy in every for name in ("freezer.state", "cgroup.freeze")]
    files = [file for file in files if file.exists()]
    if not files:
        pytest.skip("no freezer is there")
    with enter(every, top, "echo ready; sleep 1000") as child:
        for file in files:
            file.write_text("FROZEN" if file.name == "freezer.state" else "1")
        assert cgroupfs.kill(every, top) == frozenset()
        assert child.wait(10) == -9


def test_child_cgroup_beside_processes(every: tuple[Hierarchy, ...], top: str) -> None:
    hierarchy = next((found for found in every if "pids" in found.controllers), every[0])
    for found in every:
        cgroupfs.make(found, top)
    with enter([hierarchy], top, "echo ready; sleep 1000") as outer:
        cgroupfs.make_child(hierarchy, top, "exec")
        with enter([hierarchy], f"{top}/exec", "echo ready; sleep 1000") as inner:
            assert cgroupfs.kill([hierarchy], f"{top}/exec") == frozenset()
            assert inner.wait(10) == -9
        assert outer.poll() is None
        cgroupfs.kill([hierarchy], top)


def test_remove_if_empty_leaves_what_is_in_use(every: tuple[Hierarchy, ...], top: str) -> None:
    for hierarchy in every:
        cgroupfs.make(hierarchy, f"{top}/a")
        cgroupfs.remove_if_empty(hierarchy, top)
        assert cgroupfs.exists(hierarchy, f"{top}/a")
        cgroupfs.remove_if_empty(hierarchy, f"{top}/a")
        assert not cgroupfs.exists(hierarchy, f"{top}/a")
        cgroupfs.remove_if_empty(hierarchy, f"{top}/a")


def test_missing_cgroup(every: tuple[Hierarchy, ...], top: str) -> None:
    assert cgroupfs.kill(every, top) == frozenset()
    assert all(cgroupfs.remove(hierarchy, top) for hierarchy in every)
    assert cgroupfs.procs_files(every, top) == ()
