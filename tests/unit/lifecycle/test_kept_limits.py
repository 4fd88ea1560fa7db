"""Who is told of a swap limit."""

from __future__ import annotations

from typing import Any

import pytest

from criserver.lifecycle.swap import keep_swap
from tests.support.fakes import FakeCgroups, World

BOTH = {"limit": 100, "swap": 100, "reservation": 5}


@pytest.mark.parametrize(
    ("driver", "memory", "told"),
    [
        ("systemd", BOTH, {"memory": {"limit": 100, "swap": 100}}),
        ("systemd", {"limit": 100}, None),
        ("systemd", {}, None),
        ("cgroupfs", BOTH, None),
    ],
)
async def test_systemd_alone_is_told(driver: str, memory: dict[str, Any], told: Any) -> None:
    world = World()
    cgroups = FakeCgroups(world)
    cgroups.driver = driver
    await keep_swap(cgroups, "/c", {"memory": memory})
    assert world.limits.get("/c") == told
