"""CNI plugins that an earlier server has started and that still run: whoever takes their work back has to wait.

A plugin is not the server's to end when it dies, so a server that was killed in the middle of ADD leaves it at work: a
DEL beside it would find half of what is there a moment later. Plugins, and what they run themselves, are known by the
CNI_CONTAINERID in their environment (CNI spec, section 2).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from signal import SIGKILL

from criserver.kernel import pidfd
from criserver.kernel.offload import offload

PATIENCE = 10.0  # seconds; a plugin that hangs for longer is killed
PAUSE = 0.02
log = logging.getLogger(__name__)


async def ended(container_ids: Iterable[str], *, patience: float = PATIENCE) -> None:
    """Return when no plugin works for any of these containers; those that do after `patience` seconds are killed."""
    marks = frozenset(f"CNI_CONTAINERID={key}".encode() for key in container_ids)
    deadline = asyncio.get_running_loop().time() + patience
    while marks and (pids := await offload(at_work, marks)):
        if asyncio.get_running_loop().time() > deadline:
            log.warning("killing CNI plugins that an earlier server has started and that hang: %s", sorted(pids))
            await offload(_kill, pids)
        await asyncio.sleep(PAUSE)


def at_work(marks: frozenset[bytes]) -> frozenset[int]:
    """Processes with one of `marks` in their environment."""
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit() and marks & _environment(name))


def _environment(pid: str) -> frozenset[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return frozenset(file.read().split(b"\0"))
    except OSError:
        return frozenset()  # It has ended, or is a kernel thread.


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        if (fd := pidfd.open_pidfd(pid)) is not None:
            pidfd.send_signal(fd, SIGKILL)
            os.close(fd)
