"""From a fork of the zygote to a process of its own. Knows no requests; what the fork is for is its *body*'s matter.

The zygote's own objects stay in a fork's memory with closed descriptors: nothing ever unwinds to them.
"""

from __future__ import annotations

import os

from conmon import linux, protocol
from conmon.errors import describe, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Above every descriptor that can be open.
MAX_FDS = 1 << 20


def run(body: Callable[[], None]) -> None:
    """In the fork: call *body* and exit, with status 0 if it returned; never returns."""
    status = 1
    try:
        body()
        status = 0
    except BaseException:
        report()
    finally:
        os._exit(status)


def serve(name: str, connection: int, fds: list[int], body: Callable[[int, list[int]], None]) -> None:
    """``settle`` as *name* and call *body* with what *connection* and *fds* are then; it owns them. An unexpected
    exception of *body* is told on the connection, then raised."""
    numbers = settle(name, [connection, *fds])
    try:
        body(numbers[0], numbers[1:])
    except Exception as error:
        text = f"{name} failed: {describe(error)}"
        os.write(numbers[0], protocol.encode_message(protocol.REPLY, {"seq": 0, "error": text}))
        raise


def settle(name: str, keep: list[int]) -> list[int]:
    """A session and a name of its own, a subreaper, and no descriptor but 0 to 2 and *keep*; what those are now."""
    os.setsid()
    linux.set_name(name)
    linux.set_child_subreaper()
    return keep_only(keep)


def keep_only(keep: list[int]) -> list[int]:
    """Close every descriptor but 0 to 2 and *keep*, and number these from 3 on."""
    floor = 3 + len(keep)
    # Above every wanted number first, so that no dup2 overwrites one that is still needed.
    for offset, fd in enumerate([fd if fd >= floor else _dup_above(fd, floor) for fd in keep]):
        os.dup2(fd, 3 + offset, inheritable=False)
    os.closerange(floor, MAX_FDS)
    return list(range(3, floor))


def _dup_above(fd: int, floor: int) -> int:
    """A copy of *fd* with a number of *floor* or more."""
    copies = [os.dup(fd)]
    while copies[-1] < floor:
        copies.append(os.dup(fd))
    for number in copies[:-1]:
        os.close(number)
    return copies[-1]
