"""The steps that make a pod sandbox, by name, and how each is taken back (see `undo`)."""

from __future__ import annotations

from criserver.lifecycle.powers import Powers
from criserver.lifecycle.undo import Undoers
from criserver.model.sandbox import SandboxConfig
from criserver.state.codec import decode

FILES, NAMESPACES, CGROUP, NETWORK, POD_INIT = "files", "namespaces", "cgroup", "network", "pod-init"


def pod_undoers(powers: Powers) -> Undoers:
    """Undo of each step; details: cgroup path, and for the network the pod's configuration as JSON."""

    async def files(sandbox_id: str, _: str) -> None:
        await powers.pod_files.remove(sandbox_id)

    async def namespaces(sandbox_id: str, _: str) -> None:
        await powers.namespaces.unpin(sandbox_id)

    async def cgroup(_: str, path: str) -> None:
        await powers.cgroups.remove(path)

    async def network(sandbox_id: str, config: str) -> None:
        netns = powers.namespaces.path(sandbox_id, "net")
        await powers.network.remove(sandbox_id, decode(SandboxConfig, config.encode()), netns)

    async def pod_init(_: str, path: str) -> None:
        await powers.cgroups.kill(path)
        await powers.cgroups.remove(path)

    return {FILES: files, NAMESPACES: namespaces, CGROUP: cgroup, NETWORK: network, POD_INIT: pod_init}
