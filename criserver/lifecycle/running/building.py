"""From a request to a config.json: gathers what the pure `spec` needs, each answer from its owner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.running.image_volumes import volume_source
from criserver.model.container import Container, ContainerConfig, ContainerState, Mount, ProcessUser
from criserver.model.edits import cdi_requested
from criserver.model.image import Image
from criserver.model.sandbox import Sandbox
from criserver.model.security import NamespaceMode, ProfileType
from criserver.spec import signals, user
from criserver.spec.assemble import build, clamped
from criserver.spec.mounts import volume_destinations
from criserver.spec.wish import HostFacts, Policy, ResolvedDevice, ResolvedMount, SandboxFiles, SpecWish
from criserver.state.containers import Containers

log = logging.getLogger(__name__)
ACCOUNTS_LIMIT = 4 << 20  # bytes of an image's /etc/passwd or /etc/group that are read (CVE-2026-47262)
KINDS = ("net", "ipc", "uts", "pid", "user")
NO_VOLUMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Built:
    """A config.json, and the user that it names."""

    spec: dict[str, Any]
    user: ProcessUser


class Builder:
    """Builds the config.json of a container whose root is mounted."""

    def __init__(
        self,
        powers: Powers,
        containers: Containers,
        facts: Callable[[], HostFacts],
        policies: Callable[[str], Policy],
        *,
        node_name: str,
    ) -> None:
        """Both are asked at each build: `facts`, since devices come and go, and the handler's `policies`."""
        self._powers, self._containers, self._facts, self._node_name = powers, containers, facts, node_name
        self._policies = policies
        self._said: set[str] = set()

    def stop_signal(self, config: ContainerConfig, image: Image) -> str:
        """The signal that stops the container; InvalidArgument for one that is not known."""
        return signals.stop_signal(config.stop_signal, image.defaults.stop_signal)

    async def build(
        self,
        sandbox: Sandbox,
        row: Container,
        image: Image,
        rootfs: str,
        image_volumes: Mapping[str, str] = NO_VOLUMES,
    ) -> Built:
        """The document for `row`; InvalidArgument, FailedPrecondition and DeadlineExceeded name the field.

        `image_volumes`: container path of each image volume → where it is mounted on the host.
        """
        powers, config = self._powers, row.config
        await powers.host.check_root(rootfs)
        passwd = await powers.host.read_in_root(rootfs, "/etc/passwd", ACCOUNTS_LIMIT)
        group = await powers.host.read_in_root(rootfs, "/etc/group", ACCOUNTS_LIMIT)
        identity = user.resolve(config.security, image.defaults.user, passwd, group)
        paths = powers.pod_files.paths(sandbox.id, sandbox.config)
        wish = SpecWish(
            container_id=row.id,
            sandbox_id=sandbox.id,
            config=config,
            sandbox=sandbox.config,
            image=image.defaults,
            rootfs=rootfs,
            cgroups_path=row.cgroups_path,
            user=identity.user,
            home=identity.home,
            hostname=sandbox.config.hostname or self._node_name,
            namespaces=self._namespaces(sandbox, config),
            files=SandboxFiles(paths.hosts, paths.resolv_conf, paths.hostname, paths.shm),
            mounts=tuple([await self._mount(mount, image_volumes) for mount in config.mounts]),
            volumes=await self._volumes(sandbox, row, image, rootfs),
            devices=await self._devices(config),
            seccomp_localhost=await self._seccomp(config),
            edits=await powers.injections.devices(cdi_requested(config.cdi_devices, config.annotations)),
            hooks=await powers.injections.hooks(),
            host=self._host(sandbox.runtime_handler),
            policy=self._policies(sandbox.runtime_handler),
        )
        spec = build(wish)
        self._say_once(clamped(wish))
        return Built(spec, identity.user)

    def _host(self, handler_name: str) -> HostFacts:
        """The host as this handler can use it."""
        handler = self._powers.runtime.handler(handler_name)
        return replace(
            self._facts(),
            recursive_read_only=handler.recursive_read_only_mounts,
            idmapped_mounts=not handler.lacks_user_namespaces,
            maps_single_mounts=handler.maps_single_mounts,
        )

    def _namespaces(self, sandbox: Sandbox, config: ContainerConfig) -> Mapping[str, str]:
        paths = {kind: self._powers.namespaces.path(sandbox.id, kind) for kind in KINDS}
        options = config.security.namespace_options
        if options.pid is NamespaceMode.TARGET:
            target = self._containers.get(options.target_id)
            if target.sandbox_id != sandbox.id or target.state is not ContainerState.RUNNING:
                raise FailedPrecondition(
                    f"config.linux.security_context.namespace_options.target_id: container {target.id} is "
                    f"{target.state} in sandbox {target.sandbox_id}; name a running container of this pod"
                )
            paths["pid"] = f"/proc/{target.pid}/ns/pid"
        return paths

    async def _mount(self, mount: Mount, image_volumes: Mapping[str, str]) -> ResolvedMount:
        if mount.image is not None:
            return ResolvedMount(mount, await volume_source(self._powers, mount, image_volumes))
        if not mount.host_path.startswith("/"):
            raise InvalidArgument(f"config.mounts: host_path {mount.host_path!r} is not absolute; begin it with /")
        source = await self._powers.host.mount_source(mount.host_path)
        return ResolvedMount(mount, source.path, source.propagation, source.below)

    async def _devices(self, config: ContainerConfig) -> tuple[ResolvedDevice, ...]:
        """Every node of the devices asked for; a directory stands for all that are in it."""
        found: list[ResolvedDevice] = []
        for device in config.devices:
            nodes = await self._powers.host.devices(device.host_path)
            found += [ResolvedDevice(device, node) for node in nodes]
        return tuple(found)

    async def _seccomp(self, config: ContainerConfig) -> Mapping[str, Any] | None:
        asked = config.security.seccomp
        if asked is None or asked.profile_type is not ProfileType.LOCALHOST or config.security.privileged:
            return None
        return await self._powers.host.profile(asked.localhost_ref)

    async def _volumes(
        self, sandbox: Sandbox, row: Container, image: Image, rootfs: str
    ) -> tuple[tuple[str, str], ...]:
        """A private directory for every VOLUME of the image that no mount of the request covers."""
        userns = sandbox.config.security.namespace_options.own_userns
        owner = userns.on_host(0, 0) if userns else (0, 0)
        covered = {mount.container_path.rstrip("/") for mount in row.config.mounts}
        wanted = [path for path in volume_destinations(image.defaults.volumes) if path not in covered]
        bundles = self._powers.bundles
        return tuple(
            [(path, await bundles.volume(row.id, number, rootfs, path, owner)) for number, path in enumerate(wanted)]
        )

    def _say_once(self, clamps: tuple[str, ...]) -> None:
        for text in clamps:
            if text not in self._said:
                self._said.add(text)
                log.warning("%s", text)
