"""Where a process's memory cgroup is, from the text of /proc/PID/cgroup and /proc/self/mountinfo. Pure.

Formats: cgroups(7), proc_pid_mountinfo(5).
"""

from __future__ import annotations


def memory_directory(proc_cgroup: str, mountinfo: str) -> tuple[int, str] | None:
    """``(version, directory)`` of the cgroup that accounts a process's memory; None when no hierarchy is mounted.

    A v1 ``memory`` hierarchy wins where both are mounted: a controller lives in one hierarchy only.
    """
    unified = ""
    for line in proc_cgroup.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return _find(1, path, mountinfo)
        if hierarchy == "0":
            unified = path
    return _find(2, unified, mountinfo) if unified else None


def _find(version: int, path: str, mountinfo: str) -> tuple[int, str] | None:
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        matches = kind[0] == "cgroup2" if version == 2 else kind[0] == "cgroup" and "memory" in kind[2].split(",")
        if matches and (inside := _below(path, _unescape(fields[3]))) is not None:
            return version, _unescape(fields[4]).rstrip("/") + inside
    return None


def _below(path: str, root: str) -> str | None:
    """*path* relative to the mounted *root* of the hierarchy ("" for the root itself); None when it is elsewhere."""
    if root == "/":
        return path.rstrip("/")
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


def _unescape(field: str) -> str:
    """mountinfo writes space, tab, newline and backslash as three octal digits."""
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        field = field.replace(code, character)
    return field
