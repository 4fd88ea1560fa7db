"""`skopeo experimental-image-proxy`: one process per pull that fetches single blobs, each through a pipe of its own.

It is containers/image as a service (containers-image-proxy; bootc and rpm-ostree pull by it): registries.conf, mirrors,
certificates and credentials are skopeo's affair, and what it fetches can go from the registry straight into a tree.
Two things to know of it, as of skopeo 1.9 and later: it does not ask policy.json (1.9), so somebody else must; and it
closes a pipe only when it is asked to finish it, whether or not the blob came to its end, and answers nothing else
until that blob has.
Protocol: JSON requests and answers over SOCK_SEQPACKET (skopeo, cmd/skopeo/proxy.go).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from criserver import errors
from criserver.drivers.images.manifests import DOCUMENT_LIMIT
from criserver.drivers.images.skopeo_words import explain
from criserver.kernel.companion import Companion
from criserver.kernel.pipes import pending, read_all, widen

PACKET = 1 << 16
"""Longest answer; skopeo's own limit for requests is half of it."""
PIPE = 1 << 20
"""Bytes that a blob's pipe holds, so that fetching and unpacking wait less for each other."""
BEGIN_SECONDS = 120.0
"""Time until a blob begins to come. skopeo waits up to a minute, and then again, where a registry asks for it."""
DOCUMENT_SECONDS = 120.0
"""Time for a config or manifest."""


class _Reply(msgspec.Struct, frozen=True):
    success: bool
    value: Any = None
    pipeid: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back: a value, and the reading end of a pipe (-1: none) with its number."""

    value: Any
    fd: int = -1
    pipe: int = 0


class ImageProxy:
    """A running proxy. Errors are what `explain` makes of skopeo's words about `source`."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], source: str, procs: Sequence[str] = ()
    ) -> None:
        """Start it: `argv` is skopeo with all options but --sockfd, `source` what it will open ("docker://name:tag")."""
        self._companion = Companion(lambda fd: (*argv, "--sockfd", str(fd)), limit=PACKET, env=env, procs=procs)
        self._source = source
        self._image: Any = None
        self._turn = asyncio.Lock()
        self._late = ""
        self._exchanges: set[asyncio.Task[_Answer]] = set()

    async def open(self, source: str = "") -> None:
        """Connect to the registry and open the image `source`, or the one named at the start, unless that is open."""
        if self._image is None:
            await self._call("Initialize")
        elif not source:
            return
        self._image = (await self._call("OpenImage", source or self._source)).value

    async def manifest(self) -> tuple[str, bytes]:
        """The manifest for this platform: its digest at the registry, and the document, in OCI's form."""
        answer = await self._call("GetManifest", self._image)
        return str(answer.value), await self._document(answer)

    async def document(self, digest: str, size: int) -> bytes:
        """A small blob as a whole: a config."""
        answer = await self._call("GetBlob", self._image, digest, size)
        return await self._document(answer)

    @asynccontextmanager
    async def blob(self, digest: str, size: int) -> AsyncIterator[ProxiedBlob]:
        """A blob as a pipe. DataLoss at once when the registry has one of another size."""
        answer = await self._call("GetBlob", self._image, digest, size)
        blob = ProxiedBlob(answer.fd, lambda: self._finish(answer.pipe, digest, size))
        try:
            if answer.value not in (size, -1):
                what = f"blob {digest} has {answer.value} bytes at the registry, its manifest says {size}"
                raise errors.DataLoss(f"{self._source}: {what}")
            yield blob
        finally:
            blob.close()

    async def close(self) -> None:
        """End the process, and every exchange with it."""
        for exchange in (running := tuple(self._exchanges)):
            exchange.cancel()
        if running:
            await asyncio.wait(running)
        await self._companion.close()

    async def _document(self, answer: _Answer) -> bytes:
        try:
            async with asyncio.timeout(DOCUMENT_SECONDS), asyncio.TaskGroup() as group:
                reading = group.create_task(self._bounded(answer.fd))
                group.create_task(self._call("FinishPipe", answer.pipe))
        except TimeoutError:
            raise errors.DeadlineExceeded(f"{self._source}: no document within {DOCUMENT_SECONDS:g} s") from None
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        finally:
            os.close(answer.fd)
        return reading.result()

    async def _bounded(self, fd: int) -> bytes:
        content = await read_all(fd, DOCUMENT_LIMIT)
        if len(content) > DOCUMENT_LIMIT:
            raise errors.ResourceExhausted(f"{self._source}: a document has more than {DOCUMENT_LIMIT} bytes")
        return content

    async def _finish(self, pipe: int, digest: str, size: int) -> None:
        try:
            await self._call("FinishPipe", pipe)
        except errors.Internal as error:
            if "broken pipe" not in str(error):
                raise
            # We had read all that there should be.
            what = f"blob {digest} has more bytes than the {size} that its manifest says"
            raise errors.DataLoss(f"{self._source}: {what}") from error

    async def _call(self, method: str, *args: object) -> _Answer:
        """One exchange. It ends even if the caller goes away, as the next one's answer comes after this one's."""
        exchange = asyncio.get_running_loop().create_task(self._exchange(method, args))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            exchange.add_done_callback(_dispose)
            raise

    async def _exchange(self, method: str, args: Sequence[object]) -> _Answer:
        async with self._turn:
            try:
                async with asyncio.timeout(BEGIN_SECONDS if method == "GetBlob" else None):
                    data, fds = await self._packets(method, args)
            except TimeoutError:
                self._late = f"the registry did not begin to send blob {args[1]} within {BEGIN_SECONDS:g} s"
                raise self._busy() from None
            except OSError:
                data, fds = b"", []
            if not data:
                done = await self._companion.ended()
                raise explain(self._source, done.stderr.decode("utf-8", "replace"), done.returncode)
        reply = msgspec.json.decode(data, type=_Reply)
        answer = _Answer(reply.value, fds[0] if fds else -1, reply.pipeid)
        if not reply.success:
            raise explain(self._source, reply.error)
        return answer


    async def _packets(self, method: str, args: Sequence[object]) -> tuple[bytes, list[int]]:
        if self._late:  # The answer that comes next is another question's.
            raise self._busy()
        await self._companion.packets.send(msgspec.json.encode({"method": method, "args": args}))
        return await self._companion.packets.receive()

    def _busy(self) -> errors.Busy:
        why = "it is silent, or asks to be left alone for longer (429 and Retry-After)"
        return errors.Busy(f"{self._source}: {self._late}: {why}")


class ProxiedBlob:
    """A blob that comes through a pipe. Port `BlobStream`."""

    checked = True  # skopeo hashes what it sends, and compares that when it is asked to finish.

    def __init__(self, fd: int, finish: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self.fd = fd
        widen(fd, PIPE)
        self._finish = finish
        self._finishing: asyncio.Task[object] | None = None

    def silent(self) -> bool:
        """Whether nothing is there to be read now."""
        return self.fd < 0 or pending(self.fd) == 0

    async def finish(self) -> None:
        """Wait until the proxy has sent everything, and hear whether that was the blob; then the pipe ends."""
        self.close()  # If there is more than was to be read, nobody may wait for a reader.
        if self._finishing is None:
            self._finishing = asyncio.get_running_loop().create_task(self._finish())
            self._finishing.add_done_callback(_dispose)
        await asyncio.shield(self._finishing)

    def close(self) -> None:
        """Read no more. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _dispose(exchange: asyncio.Task[Any]) -> None:
    """Take note of how an exchange ended that nobody waits for, and close what it brought."""
    if not exchange.cancelled() and exchange.exception() is None and isinstance(exchange.result(), _Answer):
        answer = exchange.result()
        if answer.fd >= 0:
            os.close(answer.fd)
