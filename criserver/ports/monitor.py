"""Monitors: the processes that hold a container's stdio, write its log and know how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """What a monitor needs to create a container. `log_path` is absolute, or empty for no log."""

    container_id: str
    bundle: str
    command: tuple[str, ...]
    log_path: str
    terminal: bool = False
    stdin: bool = False
    stdin_once: bool = False
    stdio_uid: int = 0
    stdio_gid: int = 0


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How a container ended; `exit_code` is 128+signal after a signal, `finished_at` ns since the epoch."""

    exit_code: int
    finished_at: int
    oom_killed: bool = False
    monitor_lost: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What is true of a container now: its init's pid while it lives, its exit record once it has ended.

    Neither: nothing of it is left (a reboot, or it was never created). `monitored` is False when the monitor is dead.
    `started` is False while the runtime's init still waits for `start`.
    """

    pid: int = 0
    exited: ExitRecord | None = None
    monitored: bool = True
    started: bool = True


@dataclass(frozen=True, slots=True)
class ExecResult:
    """Output of an ExecSync, each stream cut at the limit; `truncated` says so."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


class Monitors(Protocol):
    """Create containers under monitors, and ask or tell these monitors things."""

    async def create(self, request: MonitorRequest) -> int:
        """Create the container; returns its init's pid. RuntimeFailed carries the runtime's words; nothing is left."""
        ...

    async def observe(self, container_id: str) -> Observed:
        """Probe monitor, kernel and exit record; never fails for a missing thing."""
        ...

    async def exited(self, container_id: str) -> ExitRecord:
        """Wait until the container has ended, however long; survives the monitor's death."""
        ...

    async def signal(self, container_id: str, signal: int) -> bool:
        """Signal the container's init through its pidfd; False when it has ended already."""
        ...

    async def kill_all(self, container_id: str) -> None:
        """SIGKILL every process of the container (its cgroup where the PID namespace is shared). Idempotent."""
        ...

    async def reopen_log(self, container_id: str) -> None:
        """Let the monitor open the log path anew; FailedPrecondition when there is no live monitor."""
        ...

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], process: str, *, timeout: float, limit: int
    ) -> ExecResult:
        """Run the OCI process document `process` (JSON) under runtime prefix `command`, stdin empty.

        Each output stream is kept up to `limit` bytes. DeadlineExceeded after `timeout` seconds (0: none), when
        everything that it started has been killed.
        """
        ...

    async def pod_init(self, sandbox_id: str, namespaces: dict[str, str], cgroup: str) -> int:
        """Fork a pod init that joins `namespaces` (kind → path) and holds a new PID namespace; returns its pid."""
        ...

    async def forget(self, container_id: str) -> None:
        """End the monitor if it lives, and remove its files. Idempotent."""
        ...

    async def list(self) -> frozenset[str]:
        """Ids of containers that have monitor files, for garbage collection."""
        ...
