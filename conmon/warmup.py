"""A rehearsal of a monitor's life in the zygote, before it is frozen.

What Python does once only (specialised bytecode, method caches, lazily bound symbols of the C library, imports) is then
done, and its pages are shared by all forks instead of being written by each. Measured: half of a monitor's own memory.
"""

from __future__ import annotations

import _socket
import os

from conmon import handover, protocol
from conmon.monitor import Monitor
from conmon.peer import listen

#: CPython specialises a function after eight calls (PEP 659).
ROUNDS = 12
_NAME = "warmup.sock"


def rehearse(directory_fd: int) -> None:
    """Run a monitor without a container: it logs to /dev/null, takes clients, and stops. Leaves nothing behind."""
    for _ in range(ROUNDS):
        fds = {handover.LISTENER: listen(directory_fd, _NAME).detach(), handover.LOG: os.open("/dev/null", os.O_WRONLY)}
        fds[handover.STDOUT], stdout = os.pipe()
        fds[handover.STDERR], stderr = os.pipe()
        client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        client.connect(f"/proc/self/fd/{directory_fd}/{_NAME}")
        os.write(stdout, b"one line\nand another\n")
        os.write(stderr, b"a part")
        note = handover.encode(1, terminal=False, stdin=False, stdin_once=False, fds=fds)
        monitor = Monitor(protocol.encode(protocol.CONTAINER), "", *handover.decode(note, list(fds.values())))
        monitor.rehearse()
        client.close()
        for fd in (stdout, stderr):
            os.close(fd)
        os.unlink(_NAME, dir_fd=directory_fd)
