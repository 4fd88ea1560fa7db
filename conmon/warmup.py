"""A rehearsal of a monitor's life in the zygote, before it is frozen.

What Python does once only (specialised bytecode, method caches, lazily bound symbols of the C library) is then done,
and its pages are shared by all forks instead of being written by each. Measured: a third of a monitor's own memory.
"""

from __future__ import annotations

import _socket
import os
import select

from conmon import doze, files, peer, slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: CPython specialises a function after eight calls (PEP 659).
ROUNDS = 12
SOCKET = "warmup.sock"
# Slots that a doze does not use keep the other ends open.
_CLIENT, _WRITERS = slots.STDIN, {slots.STDOUT: slots.MASTER, slots.STDERR: slots.OOM}


def rehearse(directory: str, run: Callable[..., object] = doze.run) -> None:
    """Be a monitor without a container: log to /dev/null, greet a client, wake up. Leaves nothing behind, but it
    closes every descriptor that is no slot, and so comes before any other is opened. *run* is ``doze.run`` or a copy
    of it."""
    for _ in range(ROUNDS):
        run(lambda: _create(directory), _wake)
        slots.reserve()
        files.remove(f"{directory}/{SOCKET}")


def _wake(dozed: doze.Doze) -> None:
    dozed.quiet()  # logs the part that it holds
    dozed.quiet()
    for fd in dozed.clients:
        os.close(fd)


def _create(directory: str) -> int:
    """In the place of ``creation.run``: fill the slots with a client, lines and parts of lines, and the end of a
    stream, which wakes the monitor up."""
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    slots.fill(slots.LISTENER, peer.listen(directory_fd, SOCKET).detach())
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    epoll = select.epoll()
    epoll.register(slots.LISTENER, select.EPOLLIN)
    client.connect(f"/proc/self/fd/{directory_fd}/{SOCKET}")
    slots.fill(_CLIENT, client.detach())
    for slot, text in ((slots.STDERR, b"one line\nand another\n"), (slots.STDOUT, b"a line\nand a part")):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        slots.fill(slot, reader)
        slots.fill(_WRITERS[slot], writer)
        epoll.register(slot, select.EPOLLIN)
        os.write(_WRITERS[slot], text)
    os.dup2(slots.DIRECTORY, _WRITERS[slots.STDERR], inheritable=False)  # no slot may be closed
    os.dup2(epoll.fileno(), slots.EPOLL, inheritable=False)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.write(writer, b"%d" % os.getpid())
    slots.fill(slots.NOTE, reader)
    return slots.READY_TO_DOZE
