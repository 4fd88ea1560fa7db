"""The list of what a zygote has running: symbolic links in its directory, ``monitors/PID.KIND.ID`` to the container's
directory.

By it the zygote finds the records of a monitor that was killed, without knowing any request. A link is made and
removed by the process that does the work; one that a killed process has left is removed by the zygote, at the latest
by the next one.
"""

from __future__ import annotations

import os

from conmon import files, process

DIRECTORY = "monitors"
MONITOR, CREATION = "monitor", "creation"


class Entry:
    """One link: *pid* and *kind* of the process, *container* id, the *directory* it points to, its own *path*."""

    def __init__(self, pid: int, kind: str, container: str, directory: str, path: str) -> None:
        self.pid, self.kind, self.container, self.directory, self.path = pid, kind, container, directory, path


def path(zygote_directory: str, pid: int, kind: str, container: str) -> str:
    """The link of process *pid* for *container*."""
    return f"{zygote_directory}/{DIRECTORY}/{pid}.{kind}.{container}"


def add(link: str, directory: str) -> None:
    """Make the link; one of the same name is of a dead process. Raises OSError."""
    files.remove(link)
    os.symlink(directory, link)


def read(zygote_directory: str) -> list[Entry]:
    """All links, of dead processes too."""
    found = []
    for name in sorted(os.listdir(f"{zygote_directory}/{DIRECTORY}")):
        pid, _, rest = name.partition(".")
        kind, _, container = rest.partition(".")
        link = f"{zygote_directory}/{DIRECTORY}/{name}"
        try:
            found.append(Entry(int(pid), kind, container, os.readlink(link), link))
        except (OSError, ValueError):
            continue  # removed in between, or nothing of ours
    return found


def sweep(zygote_directory: str) -> None:
    """Make the directory, and remove the links of processes that are gone."""
    os.makedirs(f"{zygote_directory}/{DIRECTORY}", mode=0o700, exist_ok=True)
    for entry in read(zygote_directory):
        if not process.starttime(entry.pid):
            files.remove(entry.path)
