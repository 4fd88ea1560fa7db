"""Cgroup names: what fits which driver, and how systemd's slices become paths."""

from __future__ import annotations

import pytest

from criserver.errors import InvalidArgument
from criserver.model import cgroup_names


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("system.slice", "/system.slice"),
        ("kubepods-pod1.slice", "/kubepods.slice/kubepods-pod1.slice"),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX_1.slice",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX_1.slice",
        ),
        ("a-b-c.slice/", "/a.slice/a-b.slice/a-b-c.slice"),
    ],
)
def test_slices_spell_out_their_ancestors(name: str, path: str) -> None:
    assert cgroup_names.expand_slice(name) == path
    cgroup_names.check_systemd_parent(name)


@pytest.mark.parametrize("name", ["", "/", "/kubepods/pod1", "-a.slice", "a-.slice", "a--b.slice", ".slice", "-.slice"])
def test_what_is_no_slice(name: str) -> None:
    with pytest.raises(InvalidArgument, match="must end in the name of a slice"):
        cgroup_names.check_systemd_parent(name)


@pytest.mark.parametrize("parent", ["/kubepods/pod1", "kubepods/burstable/pod-2", "/a.slice.b"])
def test_cgroupfs_parents(parent: str) -> None:
    cgroup_names.check_cgroupfs_parent(parent)


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ("/kubepods.slice", "is a systemd slice, but the cgroup driver is cgroupfs"),
        ("/", "is the top of the hierarchy"),
        ("", "is the top of the hierarchy"),
        ("/a/../b", r"must not have \. or \.\."),
        ("..", r"must not have \. or \.\."),
        ("/a/./b", r"must not have \. or \.\."),
        ("/a\nb", "control characters"),
        ("/a\0b", "control characters"),
        ("/a:b", "colon"),
        ("/" + "x" * 256, "overlong"),
    ],
)
def test_what_no_cgroupfs_parent_may_be(parent: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        cgroup_names.check_cgroupfs_parent(parent)


@pytest.mark.parametrize("parent", ["../a.slice", "/a/../b.slice", "a\nb.slice", "a:b.slice"])
def test_what_no_systemd_parent_may_be(parent: str) -> None:
    with pytest.raises(InvalidArgument):
        cgroup_names.check_systemd_parent(parent)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/kubepods/pod1", "/kubepods/pod1"),
        ("kubepods/pod1/", "/kubepods/pod1"),
        ("a-b.slice", "/a.slice/a-b.slice"),
        ("a-b.slice:criserver:123", "/a.slice/a-b.slice/criserver-123.scope"),
    ],
)
def test_directory_of_every_kind_of_name(name: str, path: str) -> None:
    assert cgroup_names.directory(name) == path
