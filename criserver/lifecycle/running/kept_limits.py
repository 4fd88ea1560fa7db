"""Limits of containers that runtimes set without telling systemd, which would write its own over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from criserver.ports.cgroups import Cgroups

# runc 1.1 tells systemd of no swap limit of zero: the next daemon-reload would lift it. crun 1.8 tells it of no CPU
# quota: it is gone when the scope has started. Of shares each makes a weight of its own, and tells that.
_KEPT = {"cpu": ("quota", "period", "cpus", "mems"), "memory": ("limit", "swap")}


async def keep_limits(cgroups: Cgroups, path: str, limits: Mapping[str, Any]) -> None:
    """Let limits (OCI linux.resources) last that the runtime has just set in a container's cgroup.

    With cgroupfs nobody else writes there, and nothing is done.
    """
    if cgroups.driver != "systemd":
        return
    kept = {
        controller: {name: limits[controller][name] for name in names if name in limits.get(controller, {})}
        for controller, names in _KEPT.items()
    }
    if wanted := {controller: values for controller, values in kept.items() if values}:
        await cgroups.limit(path, wanted)
