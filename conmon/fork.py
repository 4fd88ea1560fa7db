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


def run(body: Callable[..., int | None], *arguments: object) -> None:
    """In the fork: call *body* and exit with the status that it returns, if any; never returns."""
    status = 1
    try:
        status = body(*arguments) or 0
    except BaseException:
        report()
    finally:
        os._exit(status)


def guarded(connection: int, name: str, body: Callable[[], None]) -> None:
    """Call *body*; an unexpected exception is told on *connection*, then raised."""
    try:
        body()
    except Exception as error:
        text = f"{name} failed: {describe(error)}"
        os.write(connection, protocol.encode_message(protocol.REPLY, {"seq": 0, "error": text}))
        raise


def settle(name: str, keep: list[int]) -> None:
    """A session and a name of its own, a subreaper, and no descriptor but 0 to 2 and *keep* (above the slots)."""
    os.setsid()
    linux.set_name(name.encode())
    linux.set_child_subreaper()
    close_all_but(keep)


def close_all_but(keep: list[int]) -> None:
    """Close every descriptor but 0 to 2 and *keep*."""
    start = 3
    for fd in sorted(keep):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, MAX_FDS)
