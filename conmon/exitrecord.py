"""The two records that a container leaves in its directory: who runs it now, and how it ended.

``state.json`` (STATE), written once after create, for a daemon that recovers::

    {"version": 1, "id", "pid", "pid_start", "monitor_pid", "monitor_start", "exit_path", "oom_path", "terminal"}

The exit record, at the path that the request names, written before anybody is told::

    {"version": 1, "id", "pid", "exit_code": 0-255, "signal": 0 or its number, "oom_killed": bool, "oom_kills": number,
     "finished_at": ns since the epoch, "monitor": "alive" or "lost", "log_dropped": bytes}

``pid_start`` is ``process.starttime``. ``monitor: lost`` means that the monitor was killed and the zygote took its place.
Both are read by ``records``.
"""

from __future__ import annotations

import os
import time

from conmon import files, oom, process
from conmon.protocol import Message
from conmon.requests import ContainerRequest

VERSION = 1
STATE = "state.json"
SOCKET = "monitor.sock"
#: In the zygote's directory: links, named by monitors' pids, to their containers' directories.
MONITORS = "monitors"


def link(zygote_directory: str, monitor_pid: int) -> str:
    """The path of a monitor's link, by which the zygote finds the records of a monitor that was killed."""
    return f"{zygote_directory}/{MONITORS}/{monitor_pid}"


def state(request: ContainerRequest, monitor_pid: int, pid: int, oom_path: str) -> Message:
    """The state record of a container whose init is *pid*."""
    return {
        "version": VERSION,
        "id": request.id,
        "pid": pid,
        "pid_start": process.starttime(pid),
        "monitor_pid": monitor_pid,
        "monitor_start": process.starttime(monitor_pid),
        "exit_path": request.exit_path,
        "oom_path": oom_path,
        "terminal": request.terminal,
    }


def ended(container: str, pid: int, status: int, oom_kills: int = 0, monitor: str = "alive") -> Message:
    """The exit record for wait(2) *status*, seen now."""
    code, signal = process.exit_code(status)
    return {
        "version": VERSION,
        "id": container,
        "pid": pid,
        "exit_code": code,
        "signal": signal,
        "oom_killed": oom_kills > 0,
        "oom_kills": oom_kills,
        "finished_at": time.time_ns(),
        "monitor": monitor,
        "log_dropped": 0,
    }


class Orphan:
    """A container whose monitor was killed; the zygote, its parent now, writes the exit record."""

    def __init__(self, record: Message) -> None:
        self._record = record

    @property
    def pid(self) -> int:
        """Its init, 0 when the record does not say."""
        pid = self._record.get("pid")
        return pid if isinstance(pid, int) else 0

    def write_exit(self, status: int) -> None:
        """Write the exit record, unless the monitor had done so before it was killed. Raises OSError."""
        path = str(self._record.get("exit_path"))
        if not os.path.exists(path):
            # The monitor's own count died with it; a cgroup that is reused between containers would be counted twice.
            kills = oom.read_kills(str(self._record.get("oom_path") or "/"))
            files.write_record(path, ended(str(self._record.get("id")), self.pid, status, kills, "lost"))
