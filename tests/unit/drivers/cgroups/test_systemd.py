"""Names that the systemd driver gives, and what it refuses to touch. What it makes, tests/root looks at."""

from __future__ import annotations

import pytest

from criserver.drivers.cgroups.systemd import SystemdDriver
from criserver.errors import InvalidArgument
from criserver.kernel.systemd import Systemd
from criserver.ports.cgroups import Cgroups


@pytest.fixture
def driver() -> SystemdDriver:
    return SystemdDriver([], Systemd())


def test_names(driver: SystemdDriver) -> None:
    port: Cgroups = driver
    assert port.driver == "systemd"
    assert port.default_parent("s1") == "criserverpods1.slice"
    parent = "/kubepods.slice/kubepods-pod1.slice"
    assert port.cgroups_path(parent, "c1") == "kubepods-pod1.slice:criserver:c1"
    assert port.pod_init_path(parent, "s1") == "kubepods-pod1.slice:criserver:init-s1"
    assert driver.server_path("monitors", "m1") == "system.slice:criserver:monitors-m1"
    port.check_parent(port.default_parent("s1"))


@pytest.mark.parametrize("path", ["", "/", "//", "/a/../.."])
async def test_the_top_of_the_hierarchy_is_never_touched(driver: SystemdDriver, path: str) -> None:
    for action in (driver.ensure, driver.remove, driver.kill):
        with pytest.raises(InvalidArgument, match="not below the top"):
            await action(path)
