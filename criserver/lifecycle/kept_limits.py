"""Swap limits of containers, which runtimes set without telling systemd of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from criserver.ports.cgroups import Cgroups


async def keep_swap(cgroups: Cgroups, path: str, limits: Mapping[str, Any]) -> None:
    """Let the swap limit (OCI linux.resources) last that the runtime has just set in a container's cgroup.

    runc 1.1 tells systemd of no limit of zero, and the next daemon-reload would lift that. With cgroupfs nobody else
    writes there.
    """
    memory = limits.get("memory", {})
    if cgroups.driver == "systemd" and {"limit", "swap"} <= memory.keys():
        await cgroups.limit(path, {"memory": {key: memory[key] for key in ("limit", "swap")}})
