"""The table of /proc/PID/limits to soft limits by their short names (proc_pid_limits(5), limits.conf(5)). Pure."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max address space": "as",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}


def soft_limits(table: str) -> Mapping[str, int | None]:
    """Short name → soft limit; None for unlimited."""
    found: dict[str, int | None] = {}
    for line in table.splitlines()[1:]:
        short = _NAMES.get(line[:26].strip())
        value, *_ = line[26:].split() or [""]
        if short and (value == "unlimited" or value.isdecimal()):
            found[short] = None if value == "unlimited" else int(value)
    return found
