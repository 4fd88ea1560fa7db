"""From a fork of the zygote to a process of its own. Knows no requests; what the fork is for is its *body*'s matter."""

from __future__ import annotations

import os
import signal
import socket

from conmon import linux, protocol
from conmon.errors import describe, report
from conmon.reactor import Reactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Body = Callable[[socket.socket, list[int]], None]


def run(name: str, connection: socket.socket, fds: list[int], reactor: Reactor, body: Body) -> None:
    """In the fork: settle in as *name*, call *body* with the connection and descriptors, and exit; never returns.

    The zygote's own objects (its *reactor* included) stay in memory with closed descriptors: nothing unwinds to them.
    """
    status = 1
    try:
        reactor.close()
        numbers = settle(name, [connection.detach(), *fds])
        own = socket.socket(fileno=numbers[0])
        try:
            body(own, numbers[1:])
            status = 0
        except Exception as error:
            report()
            own.send(protocol.encode_message(protocol.REPLY, {"seq": 0, "error": f"{name} failed: {describe(error)}"}))
    except BaseException:
        report()
    finally:
        os._exit(status)


def settle(name: str, keep: list[int]) -> list[int]:
    """Session, name, subreaper, signals, and no descriptor but 0 to 2 and *keep*. Returns *keep* as numbered now.

    SIGTERM and the like are ignored: a monitor ends with its container, and a host that shuts down ends the container.
    """
    os.setsid()
    linux.set_name(name)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_IGN)
    # Above every wanted number first, so that no dup2 overwrites one that is still needed.
    floor = 3 + len(keep)
    for offset, fd in enumerate([fd if fd >= floor else _dup_above(fd, floor) for fd in keep]):
        os.dup2(fd, 3 + offset, inheritable=False)
    os.closerange(floor, 1 << 20)
    return list(range(3, floor))


def _dup_above(fd: int, floor: int) -> int:
    """A copy of *fd* with a number of *floor* or more."""
    copies = [os.dup(fd)]
    while copies[-1] < floor:
        copies.append(os.dup(fd))
    for number in copies[:-1]:
        os.close(number)
    return copies[-1]
