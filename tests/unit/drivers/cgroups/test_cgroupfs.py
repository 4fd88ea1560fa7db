"""Names that the cgroupfs driver gives, and what it refuses to touch."""

from __future__ import annotations

import pytest

from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.errors import InvalidArgument
from criserver.ports.cgroups import Cgroups


def test_cgroupfs_names() -> None:
    driver: Cgroups = CgroupfsDriver([])
    assert driver.driver == "cgroupfs"
    assert driver.default_parent("s1") == "/criserver-pods/pods1"
    assert driver.cgroups_path("/kubepods/pod1", "c1") == "/kubepods/pod1/criserver-c1"
    assert driver.cgroups_path("kubepods/pod1/", "c1") == "/kubepods/pod1/criserver-c1"
    assert driver.pod_init_path("/kubepods/pod1", "s1") == "/kubepods/pod1/criserver-init-s1"
    assert CgroupfsDriver([]).server_path("monitors", "m1") == "/criserver-monitors-m1"
    driver.check_parent(driver.default_parent("s1"))


@pytest.mark.parametrize("path", ["", "/", "//", "/a/../.."])
async def test_the_top_of_the_hierarchy_is_never_touched(path: str) -> None:
    driver = CgroupfsDriver([])
    for action in (driver.ensure, driver.remove, driver.kill):
        with pytest.raises(InvalidArgument, match="not below the top"):
            await action(path)
