"""Cgroups that this server makes itself: the pod's parent when the kubelet has not made one, and its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Cgroups(Protocol):
    """Names and life of pod cgroups, for the cgroupfs and systemd drivers on v1 and v2."""

    @property
    def driver(self) -> str:
        """ "cgroupfs" or "systemd"."""
        ...

    def check_parent(self, cgroup_parent: str) -> None:
        """InvalidArgument when the name does not fit the driver (a systemd parent must end in .slice), or has ".."."""
        ...

    def default_parent(self, sandbox_id: str) -> str:
        """The pod cgroup of a sandbox whose caller named none."""
        ...

    def cgroups_path(self, cgroup_parent: str, container_id: str) -> str:
        """linux.cgroupsPath of a container's config.json under that parent."""
        ...

    def pod_init_path(self, cgroup_parent: str, sandbox_id: str) -> str:
        """The leaf cgroup of the pod init under that parent."""
        ...

    async def inhabited(self, path: str) -> None:
        """Say that the process which a leaf was made for is in it, or will not come: an empty leaf need not stay."""
        ...

    async def missing(self, path: str) -> bool:
        """Whether the cgroup is absent everywhere: who then makes it, removes it."""
        ...

    async def ensure(self, path: str) -> bool:
        """Create the cgroup in every hierarchy; True when this call made it anywhere. Idempotent."""
        ...

    async def remove(self, path: str) -> None:
        """Remove the cgroup and empty children; what still has processes is left and said. Idempotent."""
        ...

    async def limit(self, path: str, limits: Mapping[str, Any]) -> None:
        """Set limits (OCI linux.resources) of a cgroup, all or none; FailedPrecondition has the kernel's words."""
        ...

    async def oom_score(self, path: str, before: int, after: int) -> None:
        """Set oom_score_adj of the processes in the cgroup and below that have `before`; FailedPrecondition."""
        ...

    async def kill(self, path: str) -> None:
        """SIGKILL every process in the cgroup and below, until none is left or a bound. Idempotent."""
        ...
