"""Builds everything, pairs ports with drivers, and serves. Nobody imports this but the command line.

Order of a start: directories claimed → zygote running → database open → drivers and lifecycles built → what an earlier
server left recovered and swept → socket open → the service manager told. The socket is bound last, so whoever can
connect finds a node in order, and the service manager hears of it when a request has really been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import grpc.aio
import uvloop

from criserver.api.convert.pieces import MESSAGE_LIMIT
from criserver.api.interceptor import Statuses
from criserver.api.probe import answers
from criserver.config.live import Live
from criserver.config.schema import Config
from criserver.drivers.images.boot_mark import BootMark
from criserver.errors import CriError
from criserver.kernel import instance, proc, service_manager
from criserver.kernel.service_manager import ServiceManager
from criserver.lifecycle.tasks import Tasks
from criserver.observe import log as logs
from criserver.observe.timings import Stages
from criserver.wiring import Server, build

log = logging.getLogger(__name__)
GRACE_SECONDS = (
    10.0  # how long a stop waits for requests and operations; what is cut off is recovered at the next start
)
RETRY_SECONDS = 60.0
ANSWER_SECONDS = 30.0  # how long the first answer may take before the start has failed


def serve(source: Callable[[], Config]) -> int:
    """Serve the CRI until SIGTERM or SIGINT; returns the exit code. CriError when the server cannot start.

    `source` reads the configuration, now and at each reload (SIGHUP, `criserver reload`).
    """
    live = Live(source)
    config = live.current
    handler = logs.configure(config.log_level)
    proc.set_comm("criserver")
    # Seconds for which a thread may keep the event loop waiting for the interpreter; Python's own is 5 ms.
    sys.setswitchinterval(0.001)
    locks: list[int] = []
    try:
        locks.extend(instance.claim(directory) for directory in _directories(config))
        locks.append(instance.claim_socket(config.socket_path))
        handler.start()
        uvloop.run(_serve(live))
    except CriError as error:
        log.error("cannot serve: %s", error)
        return 1
    finally:
        for fd in locks:
            os.close(fd)
        handler.close()
    return 0


async def _serve(live: Live) -> None:
    config, tasks, manager = live.current, Tasks(), service_manager.from_environment()
    stages = Stages("start")
    with stages.stage("build"):
        server = await build(live, tasks)
    told_to_stop = _signals(lambda: tasks.spawn(_reload(server), name="reload"))
    try:
        mark = BootMark(config.root)
        unclean = await mark.begin()
        with stages.stage("recovery"):
            await server.recovery.run()
        with stages.stage("images"):
            await server.images.recover(server.recovery.image_holders())
        with stages.stage("garbage"):
            await server.garbage.run()
        await server.streaming.start()
        await server.observing.start()
        endless = [tasks.spawn(_retry(server), name="garbage collection", endless=True)]
        if unclean:
            check = _check_images(server.image_check.after_power_loss(), mark)
            endless.append(tasks.spawn(check, name="image check", endless=True))
        listener = await _listen(config, server)
        if manager.watchdog:
            endless.append(tasks.spawn(_keep_alive(manager, config.listen), name="watchdog", endless=True))
        with stages.stage("answer"):
            await answers(config.listen, ANSWER_SECONDS)
        manager.ready(f"serving {config.listen}")
        log.info("serving", extra={"listen": config.listen, "pid": os.getpid(), **stages.fields()})
        await told_to_stop.wait()
        manager.stopping()
        log.info("stopping: containers and their monitors live on")
        for task in endless:
            task.cancel()
        for end_streams in server.hang_up:
            end_streams()
        await listener.stop(GRACE_SECONDS)
        await server.streaming.stop()
        await server.observing.stop()
        await tasks.drain(GRACE_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(config.socket_path)
        instance.leave_socket(config.socket_path)
        try:
            await server.leave()
        except CriError as error:  # systemd or its bus may be gone: what is left is no reason to look at every image
            log.warning("not all is taken away that a stop should: %s", error)
        await mark.end()
    finally:
        server.database.close()


async def _check_images(check: Coroutine[Any, Any, bool], mark: BootMark) -> None:
    if await check:
        await mark.checked()


async def _listen(config: Config, server: Server) -> grpc.aio.Server:
    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    listener = grpc.aio.server(interceptors=[Statuses(server.observing.metrics)], options=options)
    listener.add_generic_rpc_handlers(server.services)
    old = os.umask(0o177)
    try:
        listener.add_insecure_port(config.listen)
        await listener.start()
    finally:
        os.umask(old)
    return listener


def _directories(config: Config) -> tuple[str, ...]:
    """What belongs to one server alone, each once."""
    return tuple(dict.fromkeys((config.root, config.state, config.store)))


def _signals(reload: Callable[[], object]) -> asyncio.Event:
    """SIGHUP reloads from now on; SIGTERM and SIGINT set the event."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told


async def _retry(server: Server) -> None:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        await server.garbage.retry()


async def _reload(server: Server) -> None:
    """What SIGHUP asks for. `criserver reload` does the same and has the answer."""
    try:
        await asyncio.to_thread(server.reload)
    except CriError as error:
        log.error("the configuration is not taken up, nothing changes: %s", error)


async def _keep_alive(manager: ServiceManager, listen: str) -> None:
    """Give the watchdog its sign for as long as this server answers a request of its own."""
    third = (manager.watchdog or 0) / 3
    while True:
        try:
            await answers(listen, third)
            manager.alive()
        except CriError as error:
            log.error("no sign for the watchdog: %s", error)
        await asyncio.sleep(third)
