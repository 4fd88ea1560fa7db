"""One container as the monitor driver holds it: state record, connection, and the one wait for its exit.

Identity of a process is its pid with its start time; signals go through a pidfd opened on that.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

from conmon.client import ConmonError, Monitor, StateRecord
from criserver.drivers.monitors import exits
from criserver.errors import Internal
from criserver.kernel import pidfd
from criserver.kernel.offload import offload
from criserver.ports.monitor import ExitRecord

# Seconds that a monitor may take to go after SIGKILL.
_DYING = 5.0


class Living:
    """Which monitors live, of those in a registry of watches."""

    def __init__(self, watches: Mapping[str, Watch]) -> None:
        self._watches = watches

    async def __call__(self) -> frozenset[str]:
        """Ids of the containers."""
        watches = dict(self._watches)
        return await offload(lambda: frozenset(key for key, watch in watches.items() if watch.monitor_alive()))


class Watch:
    """What the registry holds of one container: its state record, its connection, and the one wait for its exit."""

    def __init__(self, directory: str, monitor: Monitor, state: StateRecord) -> None:
        self.directory = directory
        self.monitor = monitor
        self.state = state
        # The container's cgroup once it has been asked for, "" when it is not known.
        self.cgroup: str | None = None
        self._exit: asyncio.Task[ExitRecord] | None = None

    def alive(self) -> bool:
        """Whether the container's init lives."""
        return self._signal(self.state.pid, self.state.pid_start, 0)

    def monitor_alive(self) -> bool:
        """Whether its monitor lives."""
        return self._signal(self.state.monitor_pid, self.state.monitor_start, 0)

    def signal(self, number: int) -> bool:
        """Signal the init; False when it has ended."""
        return self._signal(self.state.pid, self.state.pid_start, number)

    async def exited(self) -> ExitRecord:
        """The exit record, as soon as there is one. Cancelling a waiter leaves the wait to the others."""
        if self._exit is None:
            self._exit = asyncio.get_running_loop().create_task(self._wait())
        return await asyncio.shield(self._exit)

    async def end(self) -> None:
        """Kill the monitor if it lives and wait for it. Internal when it does not end."""
        fd = pidfd.open_pidfd(self.state.monitor_pid, self.state.monitor_start)
        if fd is not None:
            try:
                pidfd.send_signal(fd, signal.SIGKILL)
                async with asyncio.timeout(_DYING):
                    await pidfd.ended(fd)
            except TimeoutError:
                raise Internal(f"monitor {self.state.monitor_pid} of {self.directory} does not end") from None
            finally:
                os.close(fd)
        if self._exit is None:
            self.monitor.close()  # Otherwise the wait is about to find out, and closes.

    def close(self) -> None:
        """Give up waiting and close the connection."""
        if self._exit is not None:
            self._exit.cancel()
        self.monitor.close()

    async def _wait(self) -> ExitRecord:
        try:
            return exits.told(await self.monitor.wait())
        except (ConmonError, ValueError):  # Gone, or its record is damaged: both leave the kernel to be asked.
            return await exits.after_loss(self.directory, self.state)
        finally:
            self.monitor.close()

    def _signal(self, pid: int, started: int, number: int) -> bool:
        fd = pidfd.open_pidfd(pid, started)
        if fd is None:
            return False
        try:
            return pidfd.send_signal(fd, number)
        finally:
            os.close(fd)
