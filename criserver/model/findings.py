"""What a check of the node finds: things that are there, and findings about those that should be or should not be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a pod or a container has of the kernel and on disk, one by one; the words are an operator's."""

    NET = "network namespace"
    IPC = "ipc namespace"
    UTS = "uts namespace"
    PID = "pid namespace"
    USER = "user namespace"
    SHM = "/dev/shm mount"
    POD_FILES = "pod files"
    POD_INIT = "pod init"
    ATTACHMENT = "network attachment"
    ADDRESS = "address lease"
    POD_CGROUP = "pod cgroup"
    MONITOR = "monitor"
    MONITOR_FILES = "monitor files"
    BUNDLE = "bundle"
    ROOT = "root mount"
    WRITABLE = "writable layer"
    VOLUME = "image volume"
    CGROUP = "cgroup"
    RUNTIME = "runtime record"
    MOUNT = "mount"


NAMESPACES = {"net": Kind.NET, "ipc": Kind.IPC, "uts": Kind.UTS, "pid": Kind.PID, "user": Kind.USER}


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that is there. `owner` is the id of its pod or container, "" when nothing names one."""

    kind: Kind
    owner: str
    where: str


class Verdict(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    LEFT_OVER = "left over"
    DAMAGED = "damaged"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `what` it is, whose (`owner` for people, `key` its id), `where`, and what to do."""

    verdict: Verdict
    what: str
    owner: str
    key: str
    where: str
    hint: str = ""
