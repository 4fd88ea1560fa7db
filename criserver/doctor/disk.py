"""Room and kind of the file systems that `root` and `state` are on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, Severity, note, ok
from criserver.kernel import mount

FULL, SCARCE = 0.02, 0.15  # of bytes and inodes; the kubelet evicts below 15 % of the image file system
LEAST = {"root": 512 << 20, "state": 16 << 20}  # bytes that a pod with a small image needs


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """The file system that a directory is on, or will be; room in bytes."""

    key: str
    path: str
    fstype: str
    options: frozenset[str]
    free: int
    size: int
    free_inodes: int
    inodes: int


async def read(config: Config) -> tuple[DirectoryFacts, ...]:
    """Look at both directories."""
    mounts = mount.mounts()
    return tuple(_look(key, path, mounts) for key, path in (("root", config.root), ("state", config.state)))


def judge(facts: tuple[DirectoryFacts, ...]) -> Iterator[Finding]:
    """Findings about each."""
    for each in facts:
        yield from _room(each)
        for option in sorted({"noexec", "nodev", "ro"} & each.options if each.key == "root" else set()):
            yield Finding(
                Severity.WARNING if option == "nodev" else Severity.ERROR,
                f"{each.key} ({each.path}) is mounted with {option}",
                _OPTIONS[option],
                f"mount -o remount,{_OPPOSITE[option]} the file system of {each.path}, and mend /etc/fstab",
            )
    state = next(each for each in facts if each.key == "state")
    if state.fstype != "tmpfs":
        yield note(
            f"state ({state.path}) is on {state.fstype}, not on tmpfs",
            "what a reboot should take away is cleared by the next start instead",
        )


_OPTIONS = {
    "noexec": "no program of any image can be executed",
    "nodev": "device nodes in images cannot be opened",
    "ro": "nothing can be pulled or written",
}
_OPPOSITE = {"noexec": "exec", "nodev": "dev", "ro": "rw"}


def _room(each: DirectoryFacts) -> Iterator[Finding]:
    where = f"{each.key} ({each.path}, {each.fstype})"
    full = each.free < max(LEAST[each.key], FULL * each.size)
    for what, free, total, short in (
        (f"{each.free >> 20} MiB of {each.size >> 20} are free", each.free, each.size, full),
        (
            f"{each.free_inodes} of {each.inodes} inodes are free", each.free_inodes, each.inodes,
            each.free_inodes < FULL * each.inodes,
        ),
    ):  # fmt: skip
        fix = f"free room on {each.path} (crictl rmi --prune), or set {each.key} to another disk"
        if short:
            yield Finding(Severity.ERROR, f"{where} is full: {what}", "pulls and containers fail", fix)
        elif free < SCARCE * total:
            yield Finding(
                Severity.WARNING, f"{where} is nearly full: {what}", "the kubelet evicts pods below 15 %", fix
            )
        elif "MiB" in what:
            yield ok(f"{where}: {what}")


def _look(key: str, path: str, mounts: tuple[mount.MountInfo, ...]) -> DirectoryFacts:
    existing = path
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    there = os.path.realpath(existing)
    below = [each for each in mounts if there == each.target or there.startswith(each.target.rstrip("/") + "/")]
    holding = max(reversed(below), key=lambda each: len(each.target))
    room = os.statvfs(there)
    return DirectoryFacts(
        key=key,
        path=path,
        fstype=holding.fstype,
        options=frozenset(holding.options),
        free=room.f_bavail * room.f_frsize,
        size=room.f_blocks * room.f_frsize,
        free_inodes=room.f_favail,
        inodes=room.f_files,
    )
