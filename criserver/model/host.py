"""Things of the host that a container may get: device nodes, and how the mount below a host path propagates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourcePropagation(StrEnum):
    """How the mount that holds a host path propagates, from the optional fields of proc_pid_mountinfo(5)."""

    PRIVATE = "private"
    SLAVE = "slave"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class HostDevice:
    """A device node of the host; `type` is "c" or "b", `mode` the permission bits."""

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class MountSource:
    """The source of a bind mount: its real path, and how the mount that it lies on propagates.

    `below`: the paths of what is mounted in it and can be seen, without what lies in another of them.
    """

    path: str
    propagation: SourcePropagation = SourcePropagation.PRIVATE
    below: tuple[str, ...] = ()
