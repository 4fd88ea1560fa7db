"""Who is told of a container's limits."""

from __future__ import annotations

from typing import Any

import pytest

from criserver.lifecycle.running.kept_limits import keep_limits
from tests.support.fakes import FakeCgroups, World

MEMORY = {"limit": 100, "swap": 100}
QUOTA = {"quota": 5000, "period": 10000}
ALL = {"memory": {**MEMORY, "reservation": 5}, "cpu": {"shares": 9, **QUOTA}, "pids": {"limit": 3}}


@pytest.mark.parametrize(
    ("driver", "limits", "told"),
    [
        ("systemd", ALL, {"memory": MEMORY, "cpu": QUOTA}),
        ("systemd", {"cpu": {"shares": 9}}, None),
        ("systemd", {}, None),
        ("cgroupfs", ALL, None),
    ],
)
async def test_systemd_alone_is_told(driver: str, limits: dict[str, Any], told: Any) -> None:
    world = World()
    cgroups = FakeCgroups(world)
    cgroups.driver = driver
    await keep_limits(cgroups, "/c", limits)
    assert world.limits.get("/c") == told
