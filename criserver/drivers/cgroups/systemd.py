"""Pod cgroups with the systemd driver (port `Cgroups`): slices and scopes that systemd makes, knows and removes.

No directory is made behind systemd's back. The files are read and processes killed as with cgroupfs, and limits are
written to them too, since the kernel says what is wrong with one; systemd is told of each, so that it writes the same
when it next comes by (at a daemon-reload). Runtimes make the scopes of containers themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from criserver.drivers.cgroups import limits as cgroup_limits
from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver, still_busy
from criserver.drivers.cgroups.limits import INFINITY, Property
from criserver.errors import FailedPrecondition, Internal
from criserver.kernel import cgroupfs, systemd
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.offload import offload
from criserver.kernel.placeholder import Placeholder
from criserver.kernel.systemd import Systemd
from criserver.model import cgroup_names
from criserver.model.cgroup_names import PREFIX
from criserver.observe.timings import asked

# Whoever is not accounted has no controllers, and so no limits and no figures.
_ACCOUNTED: Sequence[Property] = [
    ("CPUAccounting", "b", True),
    ("MemoryAccounting", "b", True),
    ("TasksAccounting", "b", True),
    ("IOAccounting", "b", True),
    ("DefaultDependencies", "b", False),
]


def open_cgroups(driver: str) -> CgroupfsDriver:
    """The driver of that name ("auto", "cgroupfs", "systemd") over the hierarchies of this host.

    "auto" is systemd where it runs and can be asked, else cgroupfs; a kubelet asks for the driver (RuntimeConfig) and
    follows. FailedPrecondition when the host has no cgroups, or no systemd for its driver.
    """
    hierarchies = cgroupfs.hierarchies()
    if not hierarchies:
        raise FailedPrecondition("no cgroup hierarchy is mounted on this host: mount cgroup2 at /sys/fs/cgroup")
    lacking = _lacking()
    if driver == "cgroupfs" or (driver == "auto" and lacking):
        return CgroupfsDriver(hierarchies)
    if lacking:
        raise FailedPrecondition(f"runtime.cgroup_driver is systemd, but {lacking}")
    return SystemdDriver(hierarchies, Systemd())


def _lacking() -> str:
    """What the systemd driver lacks on this host; "" when nothing. Runtimes ask systemd over the system bus as well."""
    if not os.path.isdir("/run/systemd/system"):
        return "systemd does not run here: use cgroupfs"
    if not os.path.exists(systemd.SOCKET):
        return f"there is no system bus at {systemd.SOCKET}: start it (Debian package dbus), or use cgroupfs"
    return ""


class SystemdDriver(CgroupfsDriver):
    """Slices of pods, and scopes of pod inits and monitors."""

    driver = "systemd"

    def __init__(self, hierarchies: Sequence[Hierarchy], manager: Systemd) -> None:
        """`hierarchies` are those of the host, `manager` its systemd."""
        super().__init__(hierarchies)
        self._systemd = manager
        self._v2 = any(each.version == 2 and "memory" in each.controllers for each in hierarchies)
        self._placeholders: dict[str, Placeholder] = {}

    def check_parent(self, cgroup_parent: str) -> None:
        """InvalidArgument when the name is not that of a slice, or has ".."."""
        cgroup_names.check_systemd_parent(cgroup_parent)

    def default_parent(self, sandbox_id: str) -> str:
        """The pod slice of a sandbox whose caller named none: of one word, for a parent of it would stay behind."""
        return f"{PREFIX}pod{sandbox_id}.slice"

    def cgroups_path(self, cgroup_parent: str, container_id: str) -> str:
        """linux.cgroupsPath in the form that runtimes take with the systemd driver: slice:prefix:name."""
        return f"{cgroup_names.unit_name(cgroup_parent)}:{PREFIX}:{container_id}"

    def pod_init_path(self, cgroup_parent: str, sandbox_id: str) -> str:
        """The scope of the pod init in that slice."""
        return f"{cgroup_names.unit_name(cgroup_parent)}:{PREFIX}:init-{sandbox_id}"

    def server_path(self, what: str, name: str) -> str:
        """The scope of a server's "monitors" or "pulls"; not its service: stopping that leaves monitors alone."""
        return f"system.slice:{PREFIX}:{what}-{name}"

    async def ensure(self, path: str) -> bool:
        """Start the slice or scope; True when it was not there before.

        A new scope is held open until `inhabited`: it is systemd's to remove once it is empty.
        """
        cgroup = self._resolve(path)
        unit = cgroup_names.unit_name(cgroup)
        asked("cgroup", f"systemd: StartTransientUnit {unit}")
        if unit.endswith(".slice"):
            fresh = await self._systemd.start(unit, [("Description", "s", f"criserver pod {unit}"), *_ACCOUNTED])
            await offload(self._give_controllers, cgroup)
            return fresh
        return await self._scope(path, unit, cgroup_names.unit_name(os.path.dirname(cgroup)))

    async def inhabited(self, path: str) -> None:
        """Let go of a scope which `ensure` has made: the process that it is for is in it, or will not come."""
        if placeholder := self._placeholders.pop(path, None):
            await offload(placeholder.end)

    async def remove(self, path: str) -> None:
        """Stop the slice or scope; FailedPrecondition names the processes that keep it. Idempotent."""
        cgroup = self._resolve(path)
        await self.inhabited(path)
        await offload(self._check_empty, cgroup)
        await self._systemd.stop(cgroup_names.unit_name(cgroup))
        await super().remove(path)  # what systemd has not made, it does not remove

    async def limit(self, path: str, limits: Mapping[str, Any]) -> None:
        """Set limits (OCI linux.resources), all or none; FailedPrecondition has the kernel's words."""
        cgroup = self._resolve(path)
        if cgroup.endswith(".slice") and not await self.missing(path):  # scopes have what their runtime has given
            await offload(self._give_controllers, cgroup)
        await super().limit(path, limits)
        if properties := cgroup_limits.properties(limits, v2=self._v2):
            await self._systemd.set_properties(cgroup_names.unit_name(cgroup), properties)

    async def _scope(self, path: str, unit: str, parent: str) -> bool:
        placeholder = await offload(Placeholder)
        try:
            fresh = await self._systemd.start(unit, [*_scope(unit, parent, placeholder.pid), *_ACCOUNTED])
        except BaseException:
            await offload(placeholder.end)
            raise
        if fresh:
            self._placeholders[path] = placeholder
        else:
            await offload(placeholder.end)
        return fresh

    def _check_empty(self, cgroup: str) -> None:
        """systemd would kill what is in there; whoever removes a cgroup does not mean that."""
        if busy := frozenset[int]().union(*(cgroupfs.processes(each, cgroup) for each in self._hierarchies)):
            raise still_busy(cgroup, busy)

    def _give_controllers(self, cgroup: str) -> None:
        """Let the slice have every controller: systemd gives, and leaves at a reload, those alone that a unit's
        properties ask for."""
        try:
            for hierarchy in self._hierarchies:
                if hierarchy.version == 2:
                    cgroupfs.make(hierarchy, cgroup)
        except OSError as error:
            raise Internal(f"cannot give controllers to cgroup {cgroup}: {error}") from error


def _scope(unit: str, parent: str, pid: int) -> Sequence[Property]:
    """Properties of a scope around a process; it is deleted also when it fails, and has no limit of tasks."""
    return [
        ("Description", "s", f"criserver {unit}"),
        ("Slice", "s", parent),
        ("PIDs", "au", [pid]),
        ("Delegate", "b", True),
        ("CollectMode", "s", "inactive-or-failed"),
        ("TasksMax", "t", INFINITY),
    ]
