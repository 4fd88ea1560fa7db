"""TCP sockets inside network namespaces: a socket stays in the namespace of the thread that made it (namespaces(7))."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from criserver.kernel import namespaces


def begin_connect(netns: str, address: str, port: int) -> socket.socket:
    """A non-blocking socket that is connecting to an IP address in the network namespace at `netns` ("": our own).

    Blocks for as long as a thread takes to start. OSError when the address is refused at once.
    """
    if not netns:
        return _connecting(address, port)
    return namespaces.inside(netns, lambda: _connecting(address, port))


async def connected(connecting: socket.socket) -> None:
    """Wait until a socket that is connecting has got there; OSError when it has not."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(connecting, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(connecting)
    if code := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _connecting(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = connecting.connect_ex((address, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
    except BaseException:
        connecting.close()
        raise
    return connecting
