"""ExecSync: one process in a running container, its output bounded, its time limited, nothing of it left at the end.

The process's pipes come straight here; the monitor and the zygote never see its data. A child that it leaves behind
and that holds a pipe does not hold the answer. What an exec has of its own is `exec_place`'s.
"""

from __future__ import annotations

import asyncio
import json
import os

from conmon.client import ConmonError, ConnectionLost, Zygote
from criserver.drivers.monitors.exec_place import Place, Places, Request
from criserver.errors import DeadlineExceeded, RuntimeFailed, Unavailable
from criserver.kernel.pipes import Sink
from criserver.ports.monitor import ExecResult

# Seconds for which pipes are read on after the process has ended.
_DRAIN = 0.1
# Seconds that killed processes get to be gone, and between two kills.
_DYING = 5.0
_AGAIN = 0.05


class ExecSyncs:
    """Runs execs to their end."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def run(self, request: Request, *, timeout: float, limit: int) -> ExecResult:
        """Run the process to its end. `timeout` is in seconds (0: none), `limit` in bytes of each stream kept.

        RuntimeFailed carries the runtime's words when there is no process; DeadlineExceeded is raised when all that
        the exec started has been killed. Unavailable when the exec's session was killed.
        """
        place = await self._places.choose(request)
        running = _Running(limit)
        try:
            await place.make()
            try:
                async with asyncio.timeout(timeout or None):
                    return await running.finish(self._places.zygote, place)
            except BaseException:
                await _kill(place, running)
                raise
        except TimeoutError:
            shown = f"{_arguments(request.process)} in container {request.container_id}"
            raise DeadlineExceeded(f"command {shown} timed out after {timeout:g} s") from None
        except ConnectionLost as error:
            raise Unavailable(f"exec in container {request.container_id}: {error}") from error
        except ConmonError as error:
            raise RuntimeFailed(f"exec in container {request.container_id}: {error}") from error
        finally:
            running.close()
            await place.remove()


async def _kill(place: Place, running: _Running) -> None:
    """Kill all that the exec started, until nothing holds its pipes; also a runtime that has not got there yet."""
    ends = running.ends()
    deadline = asyncio.get_running_loop().time() + _DYING
    while asyncio.get_running_loop().time() < deadline:
        await place.kill()
        _, waiting = await asyncio.wait(ends, timeout=_AGAIN)
        if not waiting:
            return


class _Running:
    """The two output pipes of an exec while it runs."""

    def __init__(self, limit: int) -> None:
        self._out, self._err = Sink(limit), Sink(limit)

    async def finish(self, zygote: Zygote, place: Place) -> ExecResult:
        """Start the process, wait for its end and for what is in its pipes then."""
        theirs = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), self._out.open(), self._err.open()]
        try:
            session = await zygote.exec(place.spec(), (theirs[0], theirs[1], theirs[2]))
        finally:
            for fd in theirs:
                os.close(fd)
        try:
            ends = self.ends()
            code = await session.wait()
            await asyncio.wait(ends, timeout=_DRAIN)
        finally:
            session.close()
        out, err = self._out, self._err
        return ExecResult(code, bytes(out.kept), bytes(err.kept), out.truncated or err.truncated)

    def ends(self) -> list[asyncio.Future[None]]:
        """Read what comes; the futures of the pipes' ends."""
        loop = asyncio.get_running_loop()
        return [self._out.attach(loop), self._err.attach(loop)]

    def close(self) -> None:
        """Close the pipes."""
        self._out.close()
        self._err.close()


def _arguments(document: str) -> str:
    """The command line in a process document, for an error, bounded."""
    return json.dumps(json.loads(document).get("args", []))[:256]
