"""A pod's shared files under `<state>/sandboxes/<id>`: hosts, resolv.conf, hostname, and a tmpfs as /dev/shm."""

from __future__ import annotations

import os
from collections.abc import Callable

from criserver.kernel import mount
from criserver.kernel.fds import remove_tree
from criserver.kernel.files import make_private, write_atomic
from criserver.kernel.offload import offload
from criserver.model.sandbox import SandboxConfig
from criserver.model.security import NamespaceMode
from criserver.observe.timings import asked
from criserver.ports.pod_files import PodPaths
from criserver.spec import etc_files

SHM_SIZE = 64 << 20  # bytes, what every runtime gives when nobody asks
NODE_FILE_LIMIT = 1 << 20


class PodFilesDriver:
    """Implements `ports.pod_files.PodFiles`."""

    def __init__(self, state: str, *, shm_size: Callable[[], int] = lambda: SHM_SIZE) -> None:
        """`shm_size`: bytes of a new pod's /dev/shm."""
        self._base, self._shm_size = os.path.join(state, "sandboxes"), shm_size

    def paths(self, sandbox_id: str, config: SandboxConfig) -> PodPaths:
        """Where they are or would be."""
        directory = os.path.join(self._base, sandbox_id)
        node_ipc = config.security.namespace_options.ipc is NamespaceMode.NODE
        return PodPaths(
            hosts=os.path.join(directory, "hosts"),
            resolv_conf=os.path.join(directory, "resolv.conf"),
            hostname=os.path.join(directory, "hostname"),
            shm="/dev/shm" if node_ipc else os.path.join(directory, "shm"),
        )

    async def create(self, sandbox_id: str, config: SandboxConfig, hostname: str) -> None:
        """Write the files and mount /dev/shm. Idempotent."""
        await offload(self._create, sandbox_id, config, hostname)

    async def unmount(self, sandbox_id: str) -> None:
        """Take the /dev/shm mount away, keep the files. Idempotent."""
        await offload(mount.unmount, os.path.join(self._base, sandbox_id, "shm"))

    async def remove(self, sandbox_id: str) -> None:
        """Unmount and delete everything of the pod. Idempotent."""
        await self.unmount(sandbox_id)
        await offload(remove_tree, os.path.join(self._base, sandbox_id))

    async def list(self) -> frozenset[str]:
        """Ids of sandboxes that have files."""
        return await offload(_entries, self._base)

    def _create(self, sandbox_id: str, config: SandboxConfig, hostname: str) -> None:
        paths = self.paths(sandbox_id, config)
        userns = config.security.namespace_options.own_userns
        root = userns.on_host(0, 0) if userns else (0, 0)  # the pod's root may write what every container shows
        make_private(os.path.join(self._base, sandbox_id))
        resolv = etc_files.resolv_conf(config.dns) if config.dns else _node_file("/etc/resolv.conf")
        hosts = _node_file("/etc/hosts") if config.host_network else etc_files.hosts(hostname)
        for path, text in ((paths.hosts, hosts), (paths.resolv_conf, resolv), (paths.hostname, f"{hostname}\n")):
            asked("file", f"write {path}", text)
            write_atomic(path, text.encode(), 0o644)
            os.chown(path, *root)
        if paths.shm != "/dev/shm":
            os.makedirs(paths.shm, mode=0o700, exist_ok=True)
            if not mount.is_mountpoint(paths.shm):
                flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
                options = f"mode=1777,size={self._shm_size()},uid={root[0]},gid={root[1]}"
                asked("mount", f"mount -t tmpfs -o nosuid,nodev,noexec,{options} shm {paths.shm}")
                mount.mount("shm", paths.shm, "tmpfs", flags, options)


def _node_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(NODE_FILE_LIMIT)
    except OSError:
        return ""  # A node without the file has pods without its lines.


def _entries(directory: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()
