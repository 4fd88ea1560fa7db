"""How a container ended, when its monitor says so and when nobody is left to say it.

The exit record on disk comes first, whoever wrote it. Without one the kernel is asked whether the init lives. Since
Linux 6.15 it also tells how a process ended that was nobody's child here, to those who held a pidfd of it; otherwise
that is lost, and 255 with `monitor_lost` stands for "unknown".
"""

from __future__ import annotations

import asyncio
import json
import os
import time

from conmon import process, records
from conmon.client import StateRecord
from criserver.kernel import pidfd
from criserver.kernel.offload import offload
from criserver.model import cgroup_names
from criserver.ports.monitor import ExitRecord

UNKNOWN = 255

# The zygote takes a dead monitor's place and writes the record, which says more than the kernel does: looked for this
# often, this long (seconds), the last rounds with the kernel's word as well. It has that once the init is waited for.
_ROUNDS, _LAST = 100, 80
_PAUSE = 0.02


def told(record: records.ExitRecord) -> ExitRecord:
    """A monitor's record as the port has it. One that the zygote wrote knows the true code: nothing is lost then."""
    return ExitRecord(record.exit_code, record.finished_at, record.oom_killed)


def lost() -> ExitRecord:
    """What is said of a container that has ended unseen: now at the latest."""
    return ExitRecord(UNKNOWN, time.time_ns(), monitor_lost=True)


def read(directory: str) -> ExitRecord | None:
    """The exit record in a monitor directory; None when there is none or it is damaged."""
    try:
        record = records.read_exit(f"{directory}/exit.json")
    except (OSError, ValueError):
        return None
    return told(record) if record else None


def read_state(directory: str) -> StateRecord | None:
    """The state record in a monitor directory; None when there is none or it is damaged."""
    try:
        return records.read_state(directory)
    except (OSError, ValueError):
        return None


def container_cgroup(bundle: str) -> str:
    """The cgroup that a bundle's config.json names (linux.cgroupsPath), as a path; "" when it does not or is gone."""
    try:
        with open(f"{bundle}/config.json", "rb") as file:
            name = json.load(file)["linux"]["cgroupsPath"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return cgroup_names.directory(name) if isinstance(name, str) and name.strip("/") else ""


async def after_loss(directory: str, state: StateRecord) -> ExitRecord:
    """The exit of a container whose monitor is dead: wait for its init by pidfd, then for the zygote's record."""
    fd = pidfd.open_pidfd(state.pid, state.pid_start)
    try:
        if fd is not None:
            await pidfd.ended(fd)
        for left in range(_ROUNDS, 0, -1):
            if record := await offload(read, directory):
                return record
            if fd is not None and left <= _LAST and (status := pidfd.exit_status(fd)) is not None:
                return ExitRecord(process.exit_code(status)[0], time.time_ns())
            await asyncio.sleep(_PAUSE)
    finally:
        if fd is not None:
            os.close(fd)
    return lost()
