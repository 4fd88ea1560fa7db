"""The server's directories: taken away at the end if they were not there at the start and nothing uses them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from criserver.config.schema import Config


def absent(config: Config) -> tuple[str, ...]:
    """Which of the directories that the server will make are not there yet, so that they are the demo's."""
    made = (config.root, config.state, os.path.dirname(config.socket_path))
    return tuple(path for path in dict.fromkeys(made) if not os.path.lexists(path))


def remove(directories: Sequence[str], left: list[str]) -> None:
    """Remove `directories`; what is still mounted in them or cannot be removed is added to `left`."""
    for directory in directories:
        busy = mounts_below(directory)
        if busy:
            left.append(f"{directory}: {busy[0]} is mounted" + (f", and {len(busy) - 1} more" if busy[1:] else ""))
            continue
        shutil.rmtree(directory, ignore_errors=True)
        if os.path.lexists(directory):
            left.append(f"{directory}: cannot be removed")


def report_processes(config: Config, left: list[str]) -> None:
    """Add to `left` the processes that work in the state directory still: of other pods than the demo's, or astray."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                command = file.read().split("\0")
        except OSError:
            continue  # it has ended
        if int(pid) != os.getpid() and any(part.startswith(config.state + "/") for part in command):
            left.append(f"process {pid}: {' '.join(command)[:80]}")


def mounts_below(directory: str) -> list[str]:
    """Mount points at or below `directory` (proc(5), mountinfo, field 5)."""
    with open("/proc/self/mountinfo") as file:
        points = [line.split(" ")[4].encode().decode("unicode_escape") for line in file]
    return [point for point in points if point == directory or point.startswith(directory + "/")]
