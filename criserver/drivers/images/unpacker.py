"""The unpack helper, seen from the server: started when a layer is to be unpacked, ended when none was for a while.

One process serves every pull: to start an interpreter costs more than to unpack a small layer. What the helper
answers is no more to be believed than the layers that it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from criserver import errors
from criserver.drivers.images.unpack.protocol import COUNTER, PACKET
from criserver.kernel.companion import Companion

IDLE_SECONDS = 30.0
SLOTS = 64
"""Layers that are unpacked at a time, at most; more wait."""

_HELPER = "import sys; sys.path.insert(0, sys.argv[1]); from criserver.drivers.images.unpack.helper import main; main()"
_ERRORS = {
    error.code.value: error
    for error in (errors.DataLoss, errors.InvalidArgument, errors.ResourceExhausted, errors.Internal)
}


@dataclass(frozen=True, slots=True)
class Look:
    """A layer that stands in the directory `target` already."""

    target: str


@dataclass(frozen=True, slots=True)
class Job:
    """One layer: the blob's digest and size, the tar's digest, the directory to fill, and what it may hold.

    With a `file` the blob is no tar, but what that file holds.
    Without `digest` somebody else sees to it that the blob is the right one.
    """

    target: str
    digest: str
    diff_id: str
    size: int
    entries: int
    bytes: int
    file: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What the helper says about a layer."""

    size: int = 0
    inodes: int = 0
    record: str = ""
    error: str = ""
    message: str = ""


class Unpacking:
    """A layer on its way."""

    def __init__(self, counters: int, slot: int, answer: asyncio.Future[Answer]) -> None:
        self._counters, self._slot = counters, slot
        self._answer = answer

    @property
    def position(self) -> int:
        """Bytes of the blob that have been read so far."""
        return int.from_bytes(os.pread(self._counters, COUNTER, self._slot * COUNTER), sys.byteorder)

    async def answer(self) -> Answer:
        """The answer when it has come, an error like any other."""
        return await asyncio.shield(self._answer)

    async def result(self) -> Answer:
        """The answer; DataLoss, InvalidArgument, ResourceExhausted or Internal when it is an error."""
        answer = await self.answer()
        if answer.error:
            raise _ERRORS.get(answer.error, errors.Internal)(answer.message)
        return answer


class Unpacker:
    """The one helper of a server."""

    def __init__(self, idle: float = IDLE_SECONDS, procs: Sequence[str] = ()) -> None:
        """Nothing is started yet; without work for `idle` seconds the helper is ended.

        `procs` are the cgroup.procs of the cgroups that it runs in.
        """
        self._idle, self._procs = idle, procs
        self._helper: _Helper | None = None
        self._slots = asyncio.Semaphore(SLOTS)
        self._ending: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def unpack(self, job: Job, blob: int) -> AsyncIterator[Unpacking]:
        """Unpack the blob that comes from the descriptor `blob`; the helper has a copy of it.

        Whoever leaves the context early ends the work, and finds no process in the directory any more.
        """
        async with self._work(job, (blob,)) as unpacking:
            yield unpacking

    def warm(self) -> None:
        """Start the helper, if it does not run, for somebody who will need it in a moment."""
        helper = self._working()
        if not helper.waiting:
            self._ending = asyncio.get_running_loop().create_task(self._end_later(helper))

    async def look(self, target: str) -> Answer:
        """What the tree in the directory `target` is like. The answer may be an error; none is raised."""
        async with self._work(Look(target), ()) as looking:
            return await looking.answer()

    @contextlib.asynccontextmanager
    async def _work(self, job: Job | Look, fds: Sequence[int]) -> AsyncIterator[Unpacking]:
        async with self._slots:
            helper = self._working()
            try:
                async with helper.work(job, fds) as unpacking:
                    yield unpacking
            finally:
                if helper.ended:
                    await self._retire(helper)
                elif not helper.waiting and self._ending is None:
                    self._ending = asyncio.get_running_loop().create_task(self._end_later(helper))

    async def close(self) -> None:
        """End the helper now, if there is one."""
        self._stay()
        if self._helper is not None:
            await self._retire(self._helper)

    def _stay(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _working(self) -> _Helper:
        self._stay()
        if self._helper is None or self._helper.ended:
            self._helper = _Helper(self._procs)
        return self._helper

    async def _end_later(self, helper: _Helper) -> None:
        await asyncio.sleep(self._idle)
        self._ending = None
        await self._retire(helper)

    async def _retire(self, helper: _Helper) -> None:
        if self._helper is helper:
            self._helper = None
        await helper.close()


class _Helper:
    """One process, the layers that it works on, and the counters that it shares with us."""

    def __init__(self, procs: Sequence[str]) -> None:
        self.waiting: dict[int, asyncio.Future[Answer]] = {}
        self._counters = os.memfd_create("counters", os.MFD_CLOEXEC)
        os.ftruncate(self._counters, SLOTS * COUNTER)
        self._slots = list(range(SLOTS))
        self._numbers = itertools.count()
        package_root = str(Path(__file__).parents[3])
        argv = (sys.executable, "-I", "-c", _HELPER, package_root)
        self._companion = Companion(
            lambda fd: (*argv, str(fd), str(self._counters)), limit=PACKET, pass_fds=(self._counters,), procs=procs
        )
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @property
    def ended(self) -> bool:
        """Whether it answers no more."""
        return self._listening.done()

    @contextlib.asynccontextmanager
    async def work(self, job: Job | Look, fds: Sequence[int]) -> AsyncIterator[Unpacking]:
        """Begin it; it ends with the context."""
        number, slot = next(self._numbers), self._slots.pop()
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        os.pwrite(self._counters, bytes(COUNTER), slot * COUNTER)
        try:
            await self._send({"id": number, "slot": slot, **dataclasses.asdict(job)}, fds)
            yield Unpacking(self._counters, slot, answer)
        finally:
            await self._settle(number, answer)
            self._slots.append(slot)

    async def close(self) -> None:
        """End it, and what it works on."""
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._companion.close()
        if self._counters >= 0:
            os.close(self._counters)
            self._counters = -1

    async def _settle(self, number: int, answer: asyncio.Future[Answer]) -> None:
        """End a layer that has not ended, and wait until its process is gone."""
        if not answer.done():
            await self._send({"cancel": number})
            await asyncio.wait([answer])
        if not answer.cancelled():
            answer.exception()  # It has been told, or nobody wants to know.

    async def _send(self, request: dict[str, object], fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(OSError):  # It has ended, which is what the answer will say.
            await self._companion.packets.send(json.dumps(request).encode(), fds)

    async def _listen(self) -> None:
        words = "it was ended"
        try:
            while packet := (await self._companion.packets.receive())[0]:
                number, _, text = packet.partition(b" ")
                self._answered(int(number), msgspec.json.decode(text, type=Answer))
            words = (await self._companion.ended()).failure
        except (errors.CriError, msgspec.MsgspecError, ValueError) as error:
            words = str(error)
        finally:
            for left in tuple(self.waiting):
                self._answered(left, Answer(error="INTERNAL", message=f"the unpack helper failed: {words}"))

    def _answered(self, number: int, answer: Answer) -> None:
        if (waiting := self.waiting.pop(number, None)) and not waiting.done():
            waiting.set_result(answer)
