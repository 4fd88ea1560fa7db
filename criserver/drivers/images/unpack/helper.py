"""The helper's main program: forks one jailed child per layer, and passes on what each answers.

The server starts it with a socket and a file for counters (descriptors, as arguments), and sends it one request per
layer; how many run at a time is the server's choice. The child gets the blob's descriptor, enters the layer's directory
for good, and only then looks at what the blob holds. Its answer comes back through a pipe; a child that dies without
one has failed. When the server closes the socket or dies, everything ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from criserver.drivers.images.unpack import jail, single, tree
from criserver.drivers.images.unpack.protocol import COUNTER, DATA_LOSS, PACKET, Refused
from criserver.drivers.images.unpack.source import Blob, Source
from criserver.drivers.images.unpack.usage import Usage, usage

KILLED = {"error": "INTERNAL", "message": "the process that unpacked the layer was killed"}
Request = dict[str, Any]
Answer = dict[str, Any]


def main() -> None:
    """Serve until the other end of the socket is closed."""
    jail.prctl(jail.PR_SET_PDEATHSIG, signal.SIGKILL)
    packets, counters = (int(argument) for argument in sys.argv[2:4])
    Helper(socket.socket(fileno=packets), counters).serve()


@dataclass(slots=True)
class _Child:
    """A layer that is being unpacked: the process, the reading end of its pipe, and what came from there."""

    request: int
    pid: int
    pipe: int
    answer: bytes = b""


class Helper:
    """The process that has the children."""

    def __init__(self, packets: socket.socket, counters: int) -> None:
        self._packets = packets
        self._counters = counters
        self._children: dict[int, _Child] = {}
        self._poll = select.poll()
        self._poll.register(packets, select.POLLIN)

    def serve(self) -> None:
        """Until the socket's end; then children are killed."""
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._packets.fileno():
                    self._hear(self._children[fd])
                elif not self._obey():
                    for child in self._children.values():
                        os.kill(child.pid, signal.SIGKILL)
                    return

    def _obey(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._packets, PACKET, 1)
        if not data:
            return False
        request: Request = json.loads(data)
        if "cancel" in request:
            for child in self._children.values():
                if child.request == request["cancel"]:
                    os.kill(child.pid, signal.SIGKILL)
            return True
        self._fork(request, fds)
        for fd in fds:
            os.close(fd)
        return True

    def _fork(self, request: Request, blob: list[int]) -> None:
        parent = os.getpid()
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid:
            os.close(theirs)
            self._children[ours] = _Child(request["id"], pid, ours)
            self._poll.register(ours, select.POLLIN)
            return
        try:
            for fd in (ours, self._packets.fileno(), *self._children):
                os.close(fd)
            jail.die_with_parent(parent)
            os.write(theirs, json.dumps(_work(request, blob, self._counters)).encode()[:PACKET])
        finally:
            os._exit(0)

    def _hear(self, child: _Child) -> None:
        data = os.read(child.pipe, PACKET)
        child.answer += data
        if data and len(child.answer) < PACKET:
            return
        self._poll.unregister(child.pipe)
        del self._children[child.pipe]
        os.close(child.pipe)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)  # It has said everything; it is not to make us wait.
        os.waitpid(child.pid, 0)
        answer = child.answer or json.dumps(KILLED).encode()
        self._packets.send(b"%d %s" % (child.request, answer[: PACKET - 32]))


def _work(request: Request, blob: list[int], counters: int) -> Answer:
    try:
        found = _filled(request, blob[0], counters) if blob else _looked_at(request)
    except Refused as error:
        return {"error": error.code, "message": str(error)}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return {"error": "RESOURCE_EXHAUSTED" if full else "INTERNAL", "message": str(error)}
    except MemoryError:
        return {"error": "RESOURCE_EXHAUSTED", "message": "unpacking the layer needs too much memory"}
    except Exception as error:  # whatever it is, the server tells it
        return {"error": "INTERNAL", "message": f"unpacking the layer failed: {error!r}"}
    return found._asdict()


def _filled(request: Request, fd: int, counters: int) -> Usage:
    def count(position: int) -> None:
        os.pwrite(counters, position.to_bytes(COUNTER, sys.byteorder), request["slot"] * COUNTER)

    blob = Blob(fd, request["digest"], request["size"], count)
    if request.get("file"):
        jail.enter(request["target"], request["bytes"])
        return single.fill(blob, os.fsencode(request["file"]), request["bytes"])
    source = Source(blob, request["diff_id"], request["bytes"])
    jail.enter(request["target"], request["bytes"])
    try:
        return tree.fill(source, request["entries"])
    except Refused as error:
        if error.code == DATA_LOSS:
            blob.finish()  # If the blob is not the right one, that is what is to be said.
        raise


def _looked_at(request: Request) -> Usage:
    os.nice(10)  # nobody waits for it, and containers run beside it
    jail.enter(request["target"], 0)
    return usage()


if __name__ == "__main__":
    main()
