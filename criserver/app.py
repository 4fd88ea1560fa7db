"""Builds everything, pairs ports with drivers, and serves. Nobody imports this but the command line.

Order of a start: directories claimed → zygote running → database open → drivers and lifecycles built → what an earlier
server left recovered and swept → socket open. The socket is bound last, so whoever can connect finds a node in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

import grpc.aio
import uvloop

from criserver.api.convert.pieces import MESSAGE_LIMIT
from criserver.api.interceptor import Statuses
from criserver.config.schema import Config
from criserver.errors import CriError
from criserver.kernel import instance, proc
from criserver.lifecycle.tasks import Tasks
from criserver.observe import log as logs
from criserver.wiring import Server, build

log = logging.getLogger(__name__)
GRACE_SECONDS = (
    10.0  # how long a stop waits for requests and operations; what is cut off is recovered at the next start
)
RETRY_SECONDS = 60.0


def serve(config: Config) -> int:
    """Serve the CRI until SIGTERM or SIGINT; returns the exit code. CriError when the server cannot start."""
    handler = logs.configure(config.log_level)
    proc.set_comm("criserver")
    # Seconds for which a thread may keep the event loop waiting for the interpreter; Python's own is 5 ms.
    sys.setswitchinterval(0.001)
    locks: list[int] = []
    try:
        locks.extend(instance.claim(directory) for directory in (config.root, config.state))
        handler.start()
        uvloop.run(_serve(config))
    except CriError as error:
        log.error("cannot serve: %s", error)
        return 1
    finally:
        for fd in locks:
            os.close(fd)
        handler.close()
    return 0


async def _serve(config: Config) -> None:
    tasks = Tasks()
    server = await build(config, tasks)
    try:
        await server.recovery.run()
        await server.images.recover(server.recovery.image_holders())
        await server.garbage.run()
        await server.streaming.start()
        listener = await _listen(config, server)
        retrying = tasks.spawn(_retry(server), name="garbage collection", endless=True)
        log.info("serving", extra={"listen": config.listen, "pid": os.getpid()})
        await _stopped()
        log.info("stopping: containers and their monitors live on")
        retrying.cancel()
        for end_streams in server.hang_up:
            end_streams()
        await listener.stop(GRACE_SECONDS)
        await server.streaming.stop()
        await tasks.drain(GRACE_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(config.socket_path)
        await server.leave()
    finally:
        server.database.close()


async def _listen(config: Config, server: Server) -> grpc.aio.Server:
    path = config.socket_path
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # The state directory is ours, so whoever bound it is dead.
    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    listener = grpc.aio.server(interceptors=[Statuses()], options=options)
    listener.add_generic_rpc_handlers(server.services)
    old = os.umask(0o177)
    try:
        listener.add_insecure_port(config.listen)
        await listener.start()
    finally:
        os.umask(old)
    return listener


async def _stopped() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


async def _retry(server: Server) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        await server.garbage.retry()
