"""Cgroup hierarchies as files (cgroups(7)): v1, v2, and v1 with a cgroup2 mount beside it that has few controllers.

A cgroup is named by its absolute path within a hierarchy ("/kubepods/pod1"), the same in each. Pure parsing first,
then what touches the files. Everything here may block for some milliseconds: callers use `offload`.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from criserver.kernel import mount, pidfd
from criserver.kernel.mount import MountInfo

# Mount options that a cgroup v1 superblock shows besides its controllers (cgroup1_show_options in the kernel).
_V1_OPTIONS = {"rw", "ro", "noprefix", "xattr", "cpuset_v2_mode", "favordynmods", "clone_children", "release_agent"}

# A v2 hierarchy with none of these is beside v1, with what v1 has no use for: runtimes set no limits there. And a
# controller that is given to children cannot be moved to v1 any more, which is what crun asks for.
_LIMITING = {"cpu", "memory", "pids"}

# Rounds of killing and of removing, and the pause between them in seconds: 3 s in all before giving up.
_ROUNDS = 150
_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy. `controllers` of a named v1 hierarchy without any is {"name=…"}."""

    mountpoint: str
    version: int
    controllers: frozenset[str]

    def directory(self, cgroup: str) -> str:
        """Where the cgroup is in the file system."""
        return self.mountpoint + cgroup.rstrip("/")


def parse_hierarchies(mounts: Iterable[MountInfo]) -> tuple[Hierarchy, ...]:
    """The distinct hierarchies in a mount table; those of v2 without controllers, which only a file tells.

    A hierarchy mounted twice counts once: under /sys/fs/cgroup and whole (root "/") rather than elsewhere or in part.
    """
    best: dict[str, MountInfo] = {}
    for entry in mounts:
        if entry.fstype in ("cgroup", "cgroup2"):
            other = best.setdefault(entry.device, entry)
            if _rank(entry) < _rank(other):
                best[entry.device] = entry
    return tuple(_hierarchy(entry) for entry in best.values())


def _rank(entry: MountInfo) -> tuple[bool, bool]:
    return entry.root != "/", not entry.target.startswith("/sys/fs/cgroup")


def _hierarchy(entry: MountInfo) -> Hierarchy:
    if entry.fstype == "cgroup2":
        return Hierarchy(entry.target, 2, frozenset())
    controllers = {option for option in entry.super_options if option.split("=")[0] not in _V1_OPTIONS}
    return Hierarchy(entry.target, 1, frozenset(controllers))


def parse_proc_cgroup(text: str) -> Mapping[str, str]:
    """/proc/PID/cgroup as controller → cgroup; "" is v2's, "name=…" a named v1 hierarchy's (cgroups(7))."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, cgroup = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = cgroup
    return found


def hierarchies() -> tuple[Hierarchy, ...]:
    """The hierarchies mounted on this host now."""
    return tuple(_with_controllers(found) for found in parse_hierarchies(mount.mounts()))


def _with_controllers(hierarchy: Hierarchy) -> Hierarchy:
    if hierarchy.version == 1:
        return hierarchy
    controllers = _read(f"{hierarchy.mountpoint}/cgroup.controllers").split()
    return replace(hierarchy, controllers=frozenset(controllers))


def make(hierarchy: Hierarchy, cgroup: str) -> bool:
    """Create the cgroup and its parents, ready for processes and limits; False when it was there.

    A parent that is empty may be removed by somebody else before its child is made: then all is made again.
    """
    for _ in range(_ROUNDS):
        try:
            return _make(hierarchy, cgroup)
        except FileNotFoundError:
            if not os.path.isdir(hierarchy.mountpoint):
                raise
    return _make(hierarchy, cgroup)


def _make(hierarchy: Hierarchy, cgroup: str) -> bool:
    made = False
    directory = hierarchy.mountpoint
    for name in cgroup.strip("/").split("/"):
        parent, directory = directory, f"{directory}/{name}"
        made = _make_one(hierarchy, parent, directory)
    return made


def _make_one(hierarchy: Hierarchy, parent: str, directory: str) -> bool:
    if hierarchy.version == 2 and hierarchy.controllers & _LIMITING:
        _delegate(parent)
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        return False
    finally:
        if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
            _inherit_cpuset(parent, directory)
    return True


def make_child(hierarchy: Hierarchy, cgroup: str, name: str) -> None:
    """Create a child of a cgroup that has processes, as v2 allows it: without controllers of its own.

    FileNotFoundError when the cgroup itself is not there.
    """
    os.mkdir(f"{hierarchy.directory(cgroup)}/{name}", 0o755)


def _delegate(parent: str) -> None:
    """Give a v2 cgroup's controllers to its children, each that can be; a runtime says it if one is missed."""
    wanted = set(_read(f"{parent}/cgroup.controllers").split()) - set(_read(f"{parent}/cgroup.subtree_control").split())
    for controller in wanted:
        try:
            _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
        except OSError:
            continue


def _inherit_cpuset(parent: str, directory: str) -> None:
    """A new v1 cpuset takes no process until it has CPUs and memory nodes (cpuset(7))."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not _read(f"{directory}/{name}").strip():
            _write(f"{directory}/{name}", _read(f"{parent}/{name}").strip())


def procs_files(every: Iterable[Hierarchy], cgroup: str) -> tuple[str, ...]:
    """The files that a process writes its pid to in order to enter the cgroup, one for each hierarchy that has it."""
    return tuple(f"{found.directory(cgroup)}/cgroup.procs" for found in every if exists(found, cgroup))


def exists(hierarchy: Hierarchy, cgroup: str) -> bool:
    """Whether the cgroup is there."""
    return os.path.isdir(hierarchy.directory(cgroup))


def write_values(hierarchy: Hierarchy, cgroup: str, values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Write files of the cgroup, all or none; returns what was in them before, newest first: the way back.

    A value that does not fit another one yet (EINVAL: a limit above that of memory and swap) is written after it.
    OSError names the file and the value.
    """
    directory, before = hierarchy.directory(cgroup), list[tuple[str, str]]()
    waiting, late = list(values), set[str]()
    try:
        while waiting:
            name, value = waiting.pop(0)
            old = _read(f"{directory}/{name}").strip()
            try:
                _write(f"{directory}/{name}", value)
            except OSError as error:
                if error.errno != errno.EINVAL or name in late or not waiting:
                    raise
                late.add(name)
                waiting.append((name, value))
                continue
            before.insert(0, (name, old))
    except OSError:
        for name, old in before:
            _write(f"{directory}/{name}", old)
        raise
    return before


def processes(hierarchy: Hierarchy, cgroup: str) -> frozenset[int]:
    """Pids in the cgroup and below it; those of another PID namespace that cannot be seen are 0."""
    found: set[int] = set()
    for directory in _tree(hierarchy.directory(cgroup)):
        try:
            found.update(map(int, _read(f"{directory}/cgroup.procs").split()))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
    return frozenset(found)


def remove(hierarchy: Hierarchy, cgroup: str) -> bool:
    """Remove the cgroup with its children; False when it still has processes. A missing one counts as removed.

    A cgroup stays busy for a moment after its last process: tried again for as long as a second or so.
    """
    for _ in range(_ROUNDS):
        if _remove_once(hierarchy.directory(cgroup)):
            return True
        if processes(hierarchy, cgroup):
            return False
        time.sleep(_PAUSE)
    return False


def _remove_once(top: str) -> bool:
    for directory in reversed(list(_tree(top))):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                return False
            raise
    return True


def remove_if_empty(hierarchy: Hierarchy, cgroup: str) -> None:
    """Remove the one cgroup if it has neither children nor processes; else leave it."""
    try:
        os.rmdir(hierarchy.directory(cgroup))
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
            raise


def kill(every: Sequence[Hierarchy], cgroup: str) -> frozenset[int]:
    """SIGKILL all processes of the cgroup and below, until none is left; returns those left when the rounds are over.

    v2 does it in one write (cgroup.kill, Linux 5.14). Elsewhere: no more forks (pids.max), thaw, kill what is there,
    look again. Which process is killed is decided by a pidfd and a second look, so a pid used again is never hit.
    """
    present = [hierarchy for hierarchy in every if exists(hierarchy, cgroup)]
    for hierarchy in present:
        for directory in _tree(hierarchy.directory(cgroup)):
            _stop_forks(hierarchy.version, directory)
    left: frozenset[int] = frozenset()
    for turn in range(_ROUNDS):
        left = frozenset().union(*(_kill_once(hierarchy, cgroup) for hierarchy in present))
        if not left:
            break
        # Most processes are gone within a millisecond.
        time.sleep(min(_PAUSE, 0.001 * 2 ** min(turn, 8)))
    return left


def _stop_forks(version: int, directory: str) -> None:
    wanted = {"cgroup.kill": "1"} if version == 2 else {"pids.max": "0", "freezer.state": "THAWED"}
    for name, value in wanted.items():
        try:
            _write(f"{directory}/{name}", value)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EACCES, errno.EPERM):
                raise


def _kill_once(hierarchy: Hierarchy, cgroup: str) -> frozenset[int]:
    opened = {pid: fd for pid in processes(hierarchy, cgroup) - {0} if (fd := pidfd.open_pidfd(pid)) is not None}
    try:
        left = processes(hierarchy, cgroup)
        for pid in left & opened.keys():
            pidfd.send_signal(opened[pid], signal.SIGKILL)
        return left
    finally:
        for fd in opened.values():
            os.close(fd)


def _tree(top: str) -> Iterator[str]:
    """The directory and all below it, parents before children; what vanishes meanwhile is passed over."""
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        yield directory
        try:
            with os.scandir(directory) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, value: str) -> None:
    # Opened without O_CREAT: a file that the kernel does not offer is an error, not a new file.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {value!r}: {error.strerror}", path) from None
    finally:
        os.close(fd)
