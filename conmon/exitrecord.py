"""The two records that a container leaves in its directory: who runs it now, and how it ended.

``state.json`` (STATE), written once after create, for a daemon that recovers::

    {"version": 1, "id", "pid", "pid_start", "monitor_pid", "monitor_start", "exit_path", "terminal",
     "oom_version", "oom_path", "oom_before", "oom_parent_before": see ``oom``, "request": as it came}

The exit record, at the path that the request names, written before anybody is told::

    {"version": 1, "id", "pid", "exit_code": 0-255, "signal": 0 or its number, "oom_killed": bool, "oom_kills": number,
     "finished_at": ns since the epoch, "monitor": "alive" or "lost", "log_dropped": bytes}

``pid_start`` is ``process.starttime``. ``monitor: lost`` means that the monitor was killed and the zygote took its
place. Both are read by ``records``.
"""

from __future__ import annotations

import os
import time

from conmon import files, oom, process
from conmon.protocol import Message
from conmon.requests import ContainerRequest, number

VERSION = 1
STATE = "state.json"
SOCKET = "monitor.sock"


def state(
    message: Message, request: ContainerRequest, monitor_pid: int, pid: int, counter: oom.Counter | None
) -> Message:
    """The state record of a container whose init is *pid*; *message* is the *request* as it came."""
    return {
        "version": VERSION,
        "id": request.id,
        "pid": pid,
        "pid_start": process.starttime(pid),
        "monitor_pid": monitor_pid,
        "monitor_start": process.starttime(monitor_pid),
        "exit_path": request.exit_path,
        "oom_version": counter.version if counter else 0,
        "oom_path": counter.path if counter else "",
        "oom_before": oom.read_kills(counter.path) if counter else 0,
        "oom_parent_before": oom.read_kills(oom.parent_path(counter.path)) if counter else 0,
        "request": message,
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


def adopt(directory: str, monitor_pid: int) -> Message | None:
    """The state record of a container that monitor *monitor_pid* has left behind; None when nobody has to write its
    exit: it never got so far, the exit is written, or another monitor has it."""
    record = files.read_record(f"{directory}/{STATE}")
    if not record or record.get("monitor_pid") != monitor_pid or os.path.exists(str(record.get("exit_path"))):
        return None
    return record


def write_lost(record: Message, status: int) -> None:
    """In the place of a killed monitor: the exit record of the container of state *record*. Raises OSError."""
    pid = record.get("pid")
    # The monitor's own count died with it; a cgroup that is older than the container would be counted from its start.
    version, before = (number(record, f"oom_{what}", 0) for what in ("version", "parent_before"))
    kills = oom.kills_of_lost(str(record.get("oom_path") or "/"), version, before, process.exit_code(status)[1])
    exit_record = ended(str(record.get("id")), pid if isinstance(pid, int) else 0, status, kills, "lost")
    files.write_record(str(record.get("exit_path")), exit_record)
