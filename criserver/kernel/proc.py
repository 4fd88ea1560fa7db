"""What /proc says of processes and of this boot (proc(5)); small reads that never block.

A pid alone names nobody, since pids are used again: a pid with its start time does, for the length of one boot.
"""

from __future__ import annotations

from collections.abc import Mapping


def boot_id() -> str:
    """This boot's id (random(4)): another value means that the machine has been started anew."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def start_time(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None when there is none, or only a zombie of it."""
    try:
        return parse_start_time(_read(f"/proc/{pid}/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def parse_start_time(stat: str) -> int | None:
    """Field 22 of /proc/PID/stat (proc_pid_stat(5)); None for a process that is dead or a zombie."""
    # The command name, in brackets, may hold spaces and brackets itself: what counts follows the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZXx" else int(fields[19])


def comm(pid: int) -> str | None:
    """The command name of process `pid`, at most 15 bytes; None when there is no such process."""
    try:
        return _read(f"/proc/{pid}/comm").rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


def set_comm(name: str) -> None:
    """Name this process (proc_pid_comm(5), at most 15 bytes), so that ps and benchmarks tell it from other Pythons."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def status(pid: int | str = "self") -> Mapping[str, str]:
    """The fields of /proc/PID/status (proc_pid_status(5)), such as "CapEff"; empty when there is no such process."""
    try:
        lines = _read(f"/proc/{pid}/status").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
