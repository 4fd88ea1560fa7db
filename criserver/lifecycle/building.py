"""From a request to a config.json: gathers what the pure `spec` needs, each answer from its owner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from criserver.lifecycle.powers import Powers
from criserver.model.container import Container, ContainerConfig, Mount, ProcessUser
from criserver.model.image import Image
from criserver.model.sandbox import Sandbox
from criserver.spec.build import build
from criserver.spec.signals import stop_signal
from criserver.spec.user import resolve_user
from criserver.spec.wish import HostFacts, ResolvedMount, SandboxFiles, SpecWish

ACCOUNTS_LIMIT = 4 << 20  # bytes of an image's /etc/passwd or /etc/group that are read (CVE-2026-47262)
NAMESPACES = ("net", "ipc", "uts", "pid")


@dataclass(frozen=True, slots=True)
class Built:
    """A config.json, and the user that it names."""

    spec: dict[str, Any]
    user: ProcessUser


class Builder:
    """Builds the config.json of a container whose root is mounted."""

    def __init__(self, powers: Powers, facts: Callable[[], HostFacts], *, node_name: str) -> None:
        """`facts` is asked at each build: devices come and go."""
        self._powers, self._facts, self._node_name = powers, facts, node_name

    def stop_signal(self, config: ContainerConfig, image: Image) -> str:
        """The signal that stops the container; InvalidArgument for one that is not known."""
        return stop_signal(config.stop_signal, image.defaults.stop_signal)

    async def build(self, sandbox: Sandbox, row: Container, image: Image, rootfs: str) -> Built:
        """The document for `row`; InvalidArgument, FailedPrecondition and DeadlineExceeded name the field."""
        powers, config = self._powers, row.config
        passwd = await powers.host.read_in_root(rootfs, "/etc/passwd", ACCOUNTS_LIMIT)
        group = await powers.host.read_in_root(rootfs, "/etc/group", ACCOUNTS_LIMIT)
        account = resolve_user(config.security, image.defaults.user, passwd, group)
        paths = powers.pod_files.paths(sandbox.id, sandbox.config)
        spec = build(
            SpecWish(
                container_id=row.id,
                sandbox_id=sandbox.id,
                config=config,
                sandbox=sandbox.config,
                image=image.defaults,
                rootfs=rootfs,
                cgroups_path=row.cgroups_path,
                user=account.user,
                home=account.home,
                hostname=sandbox.config.hostname or self._node_name,
                namespaces={kind: powers.namespaces.path(sandbox.id, kind) for kind in NAMESPACES},
                files=SandboxFiles(paths.hosts, paths.resolv_conf, paths.hostname, paths.shm),
                mounts=tuple([await self._mount(mount) for mount in config.mounts]),
                volumes=await self._volumes(row, image, rootfs),
                host=self._facts(),
            )
        )
        return Built(spec, account.user)

    async def _mount(self, mount: Mount) -> ResolvedMount:
        return ResolvedMount(mount, await self._powers.host.mount_source(mount.host_path))

    async def _volumes(self, row: Container, image: Image, rootfs: str) -> tuple[tuple[str, str], ...]:
        """A private directory for every VOLUME of the image that no mount of the request covers."""
        covered = {mount.container_path.rstrip("/") for mount in row.config.mounts}
        wanted = [path for path in image.defaults.volumes if path.rstrip("/") not in covered]
        bundles = self._powers.bundles
        return tuple(
            [(path, await bundles.volume(row.id, number, rootfs, path)) for number, path in enumerate(wanted)]
        )
