"""Pod cgroups of this server's own making (port `Cgroups`), with the cgroupfs driver; `systemd_cgroups` has the other.

Containers' cgroups are made by the runtime, pods' cgroups mostly by the kubelet. What is left for this server: the
parent of a pod whose caller named none, and the leaf of a pod init. Only what it was asked for is touched, and what
is below that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from criserver.drivers.cgroups import limits as cgroup_limits
from criserver.errors import FailedPrecondition, Internal, InvalidArgument
from criserver.kernel import cgroupfs, oom_score
from criserver.kernel.cgroupfs import Hierarchy
from criserver.kernel.offload import offload
from criserver.model import cgroup_names
from criserver.model.cgroup_names import PODS, PREFIX
from criserver.observe.timings import asked, braced


class CgroupfsDriver:
    """Cgroups as directories that this server makes and removes itself."""

    driver = "cgroupfs"

    def __init__(self, hierarchies: Sequence[Hierarchy]) -> None:
        """`hierarchies` are those of the host; each gets every cgroup, as runtimes expect."""
        self._hierarchies = hierarchies

    def check_parent(self, cgroup_parent: str) -> None:
        """InvalidArgument when the name does not fit the driver, has "..", or is the top of the hierarchy."""
        cgroup_names.check_cgroupfs_parent(cgroup_parent)

    def default_parent(self, sandbox_id: str) -> str:
        """The pod cgroup of a sandbox whose caller named none."""
        return f"/{PODS}/pod{sandbox_id}"

    def cgroups_path(self, cgroup_parent: str, container_id: str) -> str:
        """linux.cgroupsPath of a container's config.json under that parent (OCI runtime-spec, config-linux.md)."""
        return f"{cgroup_names.directory(cgroup_parent)}/{PREFIX}-{container_id}"

    def pod_init_path(self, cgroup_parent: str, sandbox_id: str) -> str:
        """The leaf cgroup of the pod init under that parent."""
        return f"{cgroup_names.directory(cgroup_parent)}/{PREFIX}-init-{sandbox_id}"

    def server_path(self, what: str, name: str) -> str:
        """The leaf cgroup of the "monitors" or "pulls" of the server `name`, apart from it and from every pod."""
        return f"/{PREFIX}-{what}-{name}"

    async def missing(self, path: str) -> bool:
        """Whether the cgroup is in no hierarchy: who then makes it, removes it."""
        cgroup = self._resolve(path)
        return not await offload(lambda: any(cgroupfs.exists(each, cgroup) for each in self._hierarchies))

    async def ensure(self, path: str) -> bool:
        """Create the cgroup in every hierarchy; True when it was in none before: then it is this server's to remove.

        Internal, with nothing left, when a hierarchy refuses.
        """
        cgroup = self._resolve(path)
        asked("cgroup", f"mkdir -p {braced([each.directory(cgroup) for each in self._hierarchies])}")
        try:
            return await offload(self._ensure, cgroup)
        except OSError as error:
            raise Internal(f"cannot create cgroup {cgroup}: {error}") from error

    async def inhabited(self, path: str) -> None:
        """Note that the process which a leaf was made for is in it, or will not come."""

    async def remove(self, path: str) -> None:
        """Remove the cgroup and empty children; FailedPrecondition names the processes that keep it. Idempotent."""
        cgroup = self._resolve(path)
        try:
            await offload(self._remove, cgroup)
        except OSError as error:
            raise Internal(f"cannot remove cgroup {cgroup}: {error}") from error

    async def limit(self, path: str, limits: Mapping[str, Any]) -> None:
        """Set limits (OCI linux.resources) of the cgroup, all or none; FailedPrecondition has the kernel's words."""
        cgroup = self._resolve(path)
        try:
            await offload(self._limit, cgroup, limits)
        except OSError as error:
            raise FailedPrecondition(f"cgroup {cgroup} does not take its limits: {error}") from error

    async def oom_score(self, path: str, before: int, after: int) -> None:
        """Set oom_score_adj of the processes in the cgroup and below that have `before`; FailedPrecondition."""
        cgroup = self._resolve(path)
        holding = next((each for each in self._hierarchies if cgroupfs.exists(each, cgroup)), None)
        if holding is None:
            return
        try:
            await offload(oom_score.change, lambda: cgroupfs.processes(holding, cgroup), before, after)
        except OSError as error:
            raise FailedPrecondition(f"oom_score_adj {after} of {cgroup}: {error.strerror}") from error

    async def kill(self, path: str) -> None:
        """SIGKILL every process in the cgroup and below; FailedPrecondition names those that do not die. Idempotent."""
        cgroup = self._resolve(path)
        left = await offload(cgroupfs.kill, self._hierarchies, cgroup)
        if left:
            raise FailedPrecondition(f"processes {_listed(left)} in cgroup {cgroup} do not end on SIGKILL")

    def _resolve(self, path: str) -> str:
        """The path within a hierarchy, which must be below the top: acting on the top would be acting on the node."""
        cgroup = cgroup_names.directory(path)
        if cgroup == "/" or ".." in cgroup.split("/"):
            raise InvalidArgument(f"cgroup {path!r} is not below the top of the hierarchy")
        return cgroup

    def _ensure(self, cgroup: str) -> bool:
        fresh = not any(cgroupfs.exists(hierarchy, cgroup) for hierarchy in self._hierarchies)
        made: list[Hierarchy] = []
        try:
            for hierarchy in self._hierarchies:
                made += [hierarchy] if cgroupfs.make(hierarchy, cgroup) else []
        except OSError:
            for hierarchy in made:
                self._remove_in(hierarchy, cgroup)
            raise
        return fresh

    def _limit(self, cgroup: str, limits: Mapping[str, Any]) -> None:
        done: list[tuple[Hierarchy, list[tuple[str, str]]]] = []
        try:
            for hierarchy in self._hierarchies:
                values = _values(hierarchy, limits)
                if values and cgroupfs.exists(hierarchy, cgroup):
                    done.append((hierarchy, cgroupfs.write_values(hierarchy, cgroup, values)))
        except OSError:
            for hierarchy, before in reversed(done):
                cgroupfs.write_values(hierarchy, cgroup, before)
            raise

    def _remove(self, cgroup: str) -> None:
        busy: set[int] = set()
        left = [hierarchy for hierarchy in self._hierarchies if not self._remove_in(hierarchy, cgroup)]
        for hierarchy in left:
            busy |= cgroupfs.processes(hierarchy, cgroup)
        if left:
            raise still_busy(cgroup, busy)

    def _remove_in(self, hierarchy: Hierarchy, cgroup: str) -> bool:
        if not cgroupfs.remove(hierarchy, cgroup):
            return False
        if cgroup.startswith(f"/{PODS}/"):
            cgroupfs.remove_if_empty(hierarchy, f"/{PODS}")
        return True


def still_busy(cgroup: str, pids: AbstractSet[int]) -> FailedPrecondition:
    """The error of a cgroup that cannot be removed yet."""
    return FailedPrecondition(f"cgroup {cgroup} still has processes {_listed(pids)}: they must end first")


def _values(hierarchy: Hierarchy, limits: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that one hierarchy has of the limits; "" are files of any v2 controller."""
    by_controller = (cgroup_limits.v2_files if hierarchy.version == 2 else cgroup_limits.v1_files)(limits)
    return [pair for name, pairs in by_controller.items() if name in hierarchy.controllers | {""} for pair in pairs]


def _listed(pids: AbstractSet[int]) -> str:
    shown = sorted(pids)[:10]
    return ", ".join(map(str, shown)) + (f" and {len(pids) - 10} more" if len(pids) > 10 else "")
