"""Starting a container that runc has created, without running runc once more.

runc's init waits in open(2) for a reader of `exec.fifo` in the container's state directory; whoever opens it lets the
container's process begin and gets one byte, and then removes the file: its absence is what `runc state` takes for
"running". That is all that `runc start` does for a container without poststart hooks, and the whole rest of it is
starting a Go program (8 of 9 ms).
"""

from __future__ import annotations

import os
import select

WAIT_MILLISECONDS = 2_000  # for an init that is still on its way to the FIFO


def release(path: str) -> bool:
    """Let the init that waits at the FIFO go on. False when nobody waits there: `runc start` then says why.

    Blocks until the init has taken notice. OSError for what is no FIFO or cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(WAIT_MILLISECONDS) or not os.read(fd, 1):
            return False
    finally:
        os.close(fd)
    os.unlink(path)
    return True
