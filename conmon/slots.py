"""Descriptor numbers that a creation fills for its monitor. Constants only.

The two share one descriptor table (``linux.SHARE_FILES``), so what the creation puts into a slot is there for the
monitor, which has no packet to read and no list to keep: reading them would be part of every monitor's own memory.
The zygote holds /dev/null in every slot from its start, so that no other descriptor gets such a number, and an unused
slot stays that.
"""

from __future__ import annotations

import os

#: The monitor's listening socket; its log; its ends of the container's pipes; the terminal's master.
LISTENER, LOG, STDOUT, STDERR, STDIN, MASTER = 3, 4, 5, 6, 7, 8
#: ``oom.Counter``'s descriptors; the container's directory; an epoll that watches LISTENER, STDOUT, STDERR and the
#: OOM's.
OOM, OOM_EVENT, DIRECTORY, EPOLL = 9, 10, 11, 12
#: A pipe that holds the decimal pid of the container's init.
NOTE = 13
#: The pod's own counter beside OOM, on cgroup v2.
OOM_PARENT = 14
#: The first number that is no slot.
END = 15
#: Exit statuses of a creation that has filled the slots, and whether a doze will do for its container.
READY, READY_TO_DOZE = 100, 101


def reserve() -> None:
    """Put /dev/null into every slot; before anything else is opened."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in range(LISTENER, END):
        if number != null:
            os.dup2(null, number, inheritable=False)
    if null >= END:
        os.close(null)


def fill(number: int, fd: int) -> None:
    """Move *fd* into slot *number*."""
    os.dup2(fd, number, inheritable=False)
    os.close(fd)
