"""Names that the two drivers give, and what they refuse to touch."""

from __future__ import annotations

import pytest

from criserver.drivers.cgroups import CgroupfsDriver, SystemdDriver
from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.ports.cgroups import Cgroups


def test_cgroupfs_names() -> None:
    driver: Cgroups = CgroupfsDriver([])
    assert driver.driver == "cgroupfs"
    assert driver.default_parent("s1") == "/criserver-pods/pods1"
    assert driver.cgroups_path("/kubepods/pod1", "c1") == "/kubepods/pod1/criserver-c1"
    assert driver.cgroups_path("kubepods/pod1/", "c1") == "/kubepods/pod1/criserver-c1"
    assert driver.pod_init_path("/kubepods/pod1", "s1") == "/kubepods/pod1/criserver-init-s1"
    driver.check_parent(driver.default_parent("s1"))


def test_systemd_names() -> None:
    driver: Cgroups = SystemdDriver([])
    assert driver.driver == "systemd"
    assert driver.default_parent("s1") == "criserver-pods1.slice"
    parent = "/kubepods.slice/kubepods-pod1.slice"
    assert driver.cgroups_path(parent, "c1") == "kubepods-pod1.slice:criserver:c1"
    assert driver.pod_init_path(parent, "s1") == "kubepods-pod1.slice:criserver:init-s1"
    driver.check_parent(driver.default_parent("s1"))


@pytest.mark.parametrize("path", ["", "/", "//", "/a/../.."])
async def test_the_top_of_the_hierarchy_is_never_touched(path: str) -> None:
    driver = CgroupfsDriver([])
    for action in (driver.ensure, driver.remove, driver.kill):
        with pytest.raises(InvalidArgument, match="not below the top"):
            await action(path)


async def test_systemd_makes_no_scope_of_its_own() -> None:
    with pytest.raises(FailedPrecondition, match="needs the cgroupfs driver"):
        await SystemdDriver([]).ensure("a.slice:criserver:init-s1")
