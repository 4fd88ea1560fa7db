"""A child process that is talked to by packets, as long as it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from criserver.kernel.packets import Packets
from criserver.kernel.process import Completed, run


class Companion:
    """A running program at the other end of a packet socket. It is to end when the socket does."""

    def __init__(
        self,
        argv: Callable[[int], Sequence[str]],
        *,
        limit: int,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        procs: Sequence[str] = (),
    ) -> None:
        """Start it; `argv` makes its arguments of the descriptor that its end of the socket has. See `process.run`.

        Packets have at most `limit` bytes.
        """
        self.packets, theirs = Packets.pair(limit)
        fd = theirs.fileno()
        work = run(argv(fd), env=env, pass_fds=(fd, *pass_fds), procs=procs)
        # Whoever awaits `ended` or closes us takes its result.
        self._work = asyncio.get_running_loop().create_task(work)
        # Open here as well until it ends: only then does a receiver find the end.
        self._work.add_done_callback(lambda _: theirs.close())

    async def ended(self) -> Completed:
        """Wait for the program's end; FailedPrecondition when it could not be run."""
        return await asyncio.shield(self._work)

    async def close(self) -> None:
        """End it: with our end of the socket closed it should end by itself, and is killed otherwise. Idempotent."""
        self.packets.close()
        self._work.cancel()
        await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.exception()
