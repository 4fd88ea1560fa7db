"""Reading and replacing small files, safely: the package's only place that opens any.

A path may lead to anything (a FIFO that never answers, a device, a huge file): only regular files are read, up to a
limit. Raises OSError with the path, as the standard library does. This module knows nothing of CNI.
"""

from __future__ import annotations

import errno
import os
import stat


def read_regular(path: str, limit: int, *, follow: bool = True) -> bytes:
    """Return the content of the regular file `path`.

    Raises OSError: EINVAL when it is anything else than a regular file, EFBIG when it is longer than `limit` bytes,
    ELOOP for a symbolic link unless `follow`.
    """
    # O_NONBLOCK: opening a FIFO must return at once, so that fstat can refuse it.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"longer than {limit} bytes", path)
    return data


def replace(directory: str, name: str, data: bytes) -> None:
    """Write the file `name` in `directory`, mode 0600; a reader sees the old content or the new, never a part.

    The file under way is called `.<name>`: a writer that was killed leaves at most that, and the next one takes it
    over. Not synced: after a power loss the file may be empty, which its readers must bear.
    """
    path = os.path.join(directory, name)
    draft = os.path.join(directory, f".{name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(draft, flags, 0o600), "wb") as file:
        file.write(data)
    os.rename(draft, path)


def remove(directory: str, name: str) -> None:
    """Remove what `replace` made, and its draft; nothing there is fine."""
    for path in (os.path.join(directory, name), os.path.join(directory, f".{name}")):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue


def is_namespace(path: str) -> bool:
    """Say whether `path` is a live namespace: one that was unmounted, or lost at a reboot, is a plain file or gone.

    Every namespace's file is of the kernel's nsfs, which is one device.
    """
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False
