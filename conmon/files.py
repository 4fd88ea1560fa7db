"""Small files of the package's own making: written atomically, read bounded, removed quietly.

State lives under /run, a tmpfs that a reboot empties: rename alone makes a write atomic against a kill, and an fsync
would add nothing.
"""

from __future__ import annotations

import json
import os
import stat

MAX_RECORD = 64 * 1024


def write_record(path: str, record: dict[str, object]) -> None:
    """Write *record* as JSON to *path*, mode 0600, whole or not at all. Raises OSError, leaving nothing."""
    temporary = f"{path}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            data = json.dumps(record).encode()
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise


def read_bounded(path: str, limit: int = MAX_RECORD) -> bytes:
    """At most *limit* bytes of the regular (or /proc) file *path*. Raises OSError, also for what is no regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file", path)
        parts, left = [], limit
        while left and (part := os.read(fd, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_record(path: str) -> dict[str, object] | None:
    """The JSON object in *path*; None when there is no such file or it holds something else."""
    try:
        record = json.loads(read_bounded(path))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def remove(path: str) -> None:
    """Unlink *path*; what is not there or cannot go is left alone."""
    try:
        os.unlink(path)
    except OSError:
        pass


def write_value(path: str, value: str) -> None:
    """Write *value* into an existing kernel file (cgroup.procs, oom_score_adj). Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
