"""Containers: create, start, stop, remove.

CreateContainer: row and journal in one commit → root mounted → config.json built and written → monitor forked, which
runs `runc create` → CREATED in one commit. Its end reaches the row through `exits`. Remove goes forward.
"""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import AbstractContextManager

from criserver.errors import CriError, FailedPrecondition, InvalidArgument, NotFound, RuntimeFailed
from criserver.lifecycle.forward import REMOVE_CONTAINER, go
from criserver.lifecycle.locks import Locks
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.reports.deliveries import Deliveries
from criserver.lifecycle.reports.traces import Traces
from criserver.lifecycle.running.building import Builder
from criserver.lifecycle.running.container_steps import (
    BUNDLE,
    IMAGE_VOLUMES,
    MONITOR,
    ROOTFS,
    container_undoers,
    image_holder,
)
from criserver.lifecycle.running.exits import Exits
from criserver.lifecycle.running.image_volumes import admit_volumes, mount_volumes, shown_digests, volume_images
from criserver.lifecycle.running.kept_limits import keep_limits
from criserver.lifecycle.running.stops import Stops
from criserver.lifecycle.undo import UndoStack
from criserver.model.container import Container, ContainerConfig, ContainerState
from criserver.model.image import Image
from criserver.model.sandbox import Sandbox, SandboxState
from criserver.model.security import Idmap
from criserver.model.transitions import check_container
from criserver.observe.context import log_context
from criserver.observe.timings import Stages, asked
from criserver.ports.monitor import MonitorRequest
from criserver.spec import signals
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes

log = logging.getLogger(__name__)
CREATE = "CreateContainer"
LIVE = frozenset({ContainerState.CREATED, ContainerState.RUNNING, ContainerState.UNKNOWN})
KILL_SECONDS = 10.0  # how long SIGKILL may take to be seen: uninterruptible sleep in the kernel is the only reason


class ContainerLifecycle:
    """What can be done with containers."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        journal: Journal,
        powers: Powers,
        builder: Builder,
        exits: Exits,
        operations: Operations,
        locks: Locks,
        deliveries: Deliveries,
        traces: Traces,
    ) -> None:
        self._sandboxes, self._containers, self._journal = sandboxes, containers, journal
        self._powers, self._builder, self._exits = powers, builder, exits
        self._operations, self._locks, self._deliveries = operations, locks, deliveries
        self._traces, self._undoers = traces, container_undoers(powers)
        self._stops = Stops(exits, operations)

    def of(self, sandbox_id: str) -> tuple[Container, ...]:
        """Every container of a sandbox."""
        return self._containers.of(sandbox_id)

    async def create(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container and return its id; joins an identical request as RunPodSandbox does.

        NotFound for sandbox or image, FailedPrecondition when the sandbox is not ready, RuntimeFailed.
        """
        sandbox = self._sandboxes.get(sandbox_id)
        key = (CREATE, sandbox.id, config.metadata)
        meta = sandbox.config.metadata
        with log_context(pod=f"{meta.namespace}/{meta.name}", container=config.metadata.name, sandbox_id=sandbox.id):
            return await self._operations.join(key, lambda: self._create(sandbox, config))

    async def settled(self, sandbox_id: str) -> None:
        """Wait for containers of the sandbox that are being made; none begins once the sandbox is not READY."""
        await self._operations.settled(CREATE, sandbox_id)

    def delivered(self, container_id: str) -> None:
        """Note that a caller has the id, so that asking for the name again is an error from now on."""
        self._deliveries.note(container_id)

    async def start(self, container_id: str) -> None:
        """Start a created container; RuntimeFailed carries the runtime's words and leaves it EXITED (StartError)."""
        row = self._containers.get(container_id)
        with self._logged(row):
            await self._operations.join(("StartContainer", row.id), lambda: self._start(row.id))

    async def stop(self, container_id: str, seconds: float) -> None:
        """Stop signal, at most `seconds` of grace, then SIGKILL. A second call with less grace shortens it.

        It goes on when the caller gives up. Unknown and ended containers are fine. FailedPrecondition when it does not
        even die of SIGKILL.
        """
        row = self._containers.find(container_id)
        if row is None or row.state not in LIVE:
            return
        grace = 0.0 if row.state is ContainerState.CREATED else seconds
        with self._logged(row):
            await self._stops.stop(row.id, grace, lambda: self._terminate(row), lambda: self.kill(row.id))

    async def kill(self, container_id: str) -> None:
        """SIGKILL everything in the container and wait for its end to be in the row. Unknown ids are fine."""
        row = self._containers.find(container_id)
        if row is None or row.state not in LIVE:
            return
        await self._powers.monitors.kill_all(row.id)
        if not await self._exits.wait(row.id, KILL_SECONDS):
            raise FailedPrecondition(
                f"container {row.id} still runs {KILL_SECONDS:.0f} s after SIGKILL: pid {row.pid} hangs in the kernel"
            )

    async def remove(self, container_id: str) -> None:
        """Kill the container if it lives, and remove all that is left of it. Unknown ids are fine."""
        if row := self._containers.find(container_id):
            with self._logged(row):
                await self._operations.join((REMOVE_CONTAINER, row.id), lambda: self._remove(row.id))

    async def reopen_log(self, container_id: str) -> None:
        """Let the log be opened anew after a rotation; FailedPrecondition unless the container runs."""
        row = self._containers.get(container_id)
        if row.state is not ContainerState.RUNNING:
            raise FailedPrecondition(f"container {row.id} is {row.state}: only a running container's log is reopened")
        await self._powers.monitors.reopen_log(row.id)

    async def _create(self, sandbox: Sandbox, config: ContainerConfig) -> str:
        existing = self._containers.named(sandbox.id, config.metadata)
        unread = existing is not None and not self._deliveries.noted(existing)
        if existing and unread and existing.state is ContainerState.CREATED and existing.config == config:
            return existing.id
        if sandbox.state is not SandboxState.READY:
            raise FailedPrecondition(f"pod sandbox {sandbox.id} is {sandbox.state}: containers need a READY one")
        image = self._powers.images.resolve(config.image.image)
        if image is None:
            raise NotFound(f"config.image.image: {config.image.image!r} is not on this node; pull it first")
        if image.artifact:
            raise InvalidArgument(
                f"config.image.image: {config.image.image!r} is an OCI artifact ({image.artifact}), not an image: "
                "it has no root to run in, mount it as an image volume"
            )
        image = await self._powers.images.admit(image, config.image.user_specified_image or config.image.image)
        await admit_volumes(self._powers, config)
        row = await self._row(sandbox, config, image)
        undo = UndoStack(self._journal, self._undoers, CREATE, row.id)
        with log_context(container_id=row.id), self._traces.operation(CREATE, sandbox, row) as stages:
            try:
                async with undo:
                    with stages.stage("reserve"):
                        asked("database", "one commit: the container's row, CREATING, and its journal's first step")
                        await self._containers.insert(row, undo.first(BUNDLE))
                    await self._build(sandbox, row, image, undo, stages)
            except BaseException:
                await self._containers.delete(row.id)
                raise
            self._exits.watch(row.id)
            log.info("container is created", extra=stages.fields())
        return row.id

    async def _row(self, sandbox: Sandbox, config: ContainerConfig, image: Image) -> Container:
        directory, log_path = sandbox.config.log_directory, ""
        if directory and config.log_path:
            log_path = os.path.join(directory, config.log_path)
            await self._powers.host.check_directory(os.path.dirname(log_path))
        container_id = secrets.token_hex(32)
        return Container(
            id=container_id,
            sandbox_id=sandbox.id,
            config=config,
            state=ContainerState.CREATING,
            created_at=self._powers.clock.now(),
            image_id=image.id,
            image_ref=image.digested(config.image.user_specified_image or config.image.image),
            runtime_handler=sandbox.runtime_handler,
            log_path=log_path,
            stop_signal=self._builder.stop_signal(config, image),
            cgroups_path=self._powers.cgroups.cgroups_path(sandbox.cgroup_parent, container_id),
            resources=config.resources,
            image_volumes=shown_digests(volume_images(self._powers, config)),
        )

    async def _build(self, sandbox: Sandbox, row: Container, image: Image, undo: UndoStack, stages: Stages) -> None:
        powers, config = self._powers, row.config
        await powers.images.lease(image.id, image_holder(row.id))
        userns = sandbox.config.security.namespace_options.own_userns
        idmap = Idmap(powers.namespaces.path(sandbox.id, "user"), userns) if userns else None
        with stages.stage("rootfs"):
            rootfs = await undo.step(ROOTFS, lambda: powers.rootfs.mount(row.id, image.layers, idmap=idmap))
        volumes: dict[str, str] = {}
        if images := volume_images(powers, config):
            with stages.stage("image volumes"):
                volumes = await undo.step(IMAGE_VOLUMES, lambda: mount_volumes(powers, row.id, images, idmap))
        with stages.stage("spec"):
            built = await self._builder.build(sandbox, row, image, rootfs, volumes)
            await powers.bundles.write(row.id, built.spec)
        handler = powers.runtime.handler(row.runtime_handler)
        ids = built.user.uid, built.user.gid
        stdio_uid, stdio_gid = userns.on_host(*ids) if userns else ids
        request = MonitorRequest(
            container_id=row.id,
            bundle=powers.bundles.path(row.id),
            command=handler.command,
            log_path=row.log_path,
            terminal=config.tty,
            stdin=config.stdin,
            stdin_once=config.stdin_once,
            stdio_uid=stdio_uid,
            stdio_gid=stdio_gid,
        )
        with stages.stage("runtime create"):
            pid = await undo.step(MONITOR, lambda: powers.monitors.create(request), row.runtime_handler)
            await keep_limits(powers.cgroups, row.cgroups_path, built.spec["linux"].get("resources", {}))
        with stages.stage("commit"):
            asked("database", "one commit: the row is CREATED, and the journal has nothing left to undo")
            await self._containers.update(row.id, settle=True, state=ContainerState.CREATED, pid=pid, user=built.user)

    async def _start(self, container_id: str) -> None:
        async with self._locks.hold(container_id):
            row = self._containers.get(container_id)
            check_container(row.id, row.state, ContainerState.RUNNING)
            sandbox = self._sandboxes.get(row.sandbox_id)
            if sandbox.state is not SandboxState.READY:
                raise FailedPrecondition(f"pod sandbox {sandbox.id} is {sandbox.state}: nothing can start in it")
            with self._traces.operation("StartContainer", sandbox, row) as stages:
                await self._run(row, stages)
            log.info("container is started", extra=stages.fields())

    async def _run(self, row: Container, stages: Stages) -> None:
        # Taken before: a brief container has ended when the runtime returns, and none ends before it has started.
        started_at = self._powers.clock.now()
        try:
            with stages.stage("runtime start"):
                await self._powers.runtime.start(row.runtime_handler, row.id)
        except RuntimeFailed as error:
            await self._failed_start(row, error)
            raise
        with stages.stage("commit"):
            asked("database", "one commit: the container's row is RUNNING")
            await self._containers.update(row.id, state=ContainerState.RUNNING, started_at=started_at)

    async def _failed_start(self, row: Container, error: RuntimeFailed) -> None:
        """A start that failed leaves a container that has ended, with the runtime's words as its message."""
        now = self._powers.clock.now()
        await self._containers.update(
            row.id, state=ContainerState.EXITED, exit_code=128, reason="StartError", message=str(error),
            started_at=now, finished_at=now, pid=0,
        )  # fmt: skip
        try:
            await self._undoers[MONITOR](row.id, row.runtime_handler)
        except CriError as left:
            log.warning("a failed start left something for its removal: %s", left)

    async def _terminate(self, row: Container) -> None:
        number = signals.number(row.stop_signal)
        await self._powers.monitors.signal(row.id, number)
        log.info("stop signal sent", extra={"signal": row.stop_signal})

    async def _remove(self, container_id: str) -> None:
        await self.kill(container_id)
        async with self._locks.hold(container_id):
            row = self._containers.get(container_id)
            check_container(row.id, row.state, ContainerState.REMOVING)
            await self._containers.update(row.id, state=ContainerState.REMOVING)
            undo = self._undoers
            await go(
                self._journal,
                REMOVE_CONTAINER,
                row.id,
                [
                    (MONITOR, lambda: undo[MONITOR](row.id, row.runtime_handler)),
                    (IMAGE_VOLUMES, lambda: undo[IMAGE_VOLUMES](row.id, "")),
                    (ROOTFS, lambda: undo[ROOTFS](row.id, "")),
                    (BUNDLE, lambda: undo[BUNDLE](row.id, "")),
                ],
            )
            await self._containers.delete(row.id)
        log.info("container is removed")

    def _logged(self, row: Container) -> AbstractContextManager[None]:
        sandbox = self._sandboxes.find(row.sandbox_id)
        pod = f"{sandbox.config.metadata.namespace}/{sandbox.config.metadata.name}" if sandbox else ""
        return log_context(pod=pod, container=row.config.metadata.name, container_id=row.id)
