"""The zygote: a small, single-threaded parent that forks monitors, exec sessions and pod inits on request.

Started by ``starter`` as ``python -I -S`` with a fixed environment, /dev/null as stdin and stdout, a session of its own
and, when asked, cgroups of its own. It serves ``zygote.sock`` in its directory; every connection that asks for a fork is
handed to that fork whole. Requests: ``container``, ``exec``, ``podinit`` (see ``requests``), ``ping``, ``list``, ``quit``.

It is a subreaper. When a monitor is killed, the zygote inherits its container, and writes the exit record in its place.
A zygote that dies is replaced by the next client that needs one; the monitors it forked live on.

Import budget: everything imported here is in every monitor's memory. No asyncio, dataclasses, logging, subprocess,
threading, traceback, typing; at most IMPORT_BUDGET modules in all, tested. What only some containers need is imported there
and then. Measured with 50 containers: see CONTRIBUTING for the way, the tests for the limit.
"""

from __future__ import annotations

import _socket
import gc
import os
import signal
import sys

from conmon import exitrecord, files, fork, linux, monitor, podinit, protocol, reactor, warmup
from conmon.errors import describe, report
from conmon.peer import listen, receive_fds
from conmon.protocol import Message, ProtocolError
from conmon.reactor import IN
from conmon.requests import ContainerRequest, ExecRequest, PodInitRequest, number
from conmon.session import Session

IMPORT_BUDGET = 95
SOCKET = "zygote.sock"
#: Exit statuses of processes that nobody has claimed yet, kept in case their monitor turns out to be dead.
MAX_STRAYS = 256


_CONTAINER, _QUIT = bytes((protocol.CONTAINER,)), bytes((protocol.QUIT,))


class Zygote:
    """The zygote's loop."""

    def __init__(self, directory: str) -> None:
        """Listen in *directory*. A socket file that is there is taken to be a dead zygote's (the starter holds the lock)."""
        self._directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        files.remove(f"{directory}/{SOCKET}")
        self._listener = _socket.socket(fileno=listen(self._directory_fd, SOCKET).detach())
        self._children: dict[int, bytes] = {}
        self._orphans: dict[int, exitrecord.Orphan] = {}
        self._strays: dict[int, int] = {}
        self._waiting: dict[int, _socket.socket] = {}

    def run(self) -> None:
        """Serve until ``quit``."""
        self._hello = protocol.hello("zygote", os.getpid())
        reactor.handle_signals()
        warmup.rehearse(self._directory_fd)
        self._reactor = reactor.Reactor(self._child)
        self._reactor.watch(self._listener.fileno(), IN, self._accept)
        gc.collect()
        # A collection writes to every object that it looks at; the frozen ones are left alone, and their pages shared.
        gc.freeze()
        gc.disable()
        from conmon.plug import plug; self._plugs = plug()
        self._reactor.run()

    def _accept(self, _events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - without a socket object
        except OSError:
            return
        os.set_blocking(fd, False)
        try:
            os.write(fd, self._hello)
        except OSError:
            os.close(fd)
            return
        self._waiting[fd] = _socket.socket(fileno=fd)
        self._reactor.watch(fd, IN, lambda _events: self._receive(fd))

    def _receive(self, fd: int) -> None:
        try:
            packet, fds = receive_fds(self._waiting[fd], protocol.MAX_PACKET + 1)
        except BlockingIOError:
            return
        except OSError:
            packet, fds = b"", []
        try:
            if packet[1:2] == _QUIT:
                self._reactor.stop()
            elif packet:
                pid = os.fork()
                if pid == 0:
                    fork.run(lambda: self._serve(packet, fd, fds))
                self._children[pid] = packet
        except OSError as error:  # EAGAIN: no room for one more process
            os.write(fd, protocol.encode_message(protocol.REPLY, {"seq": 0, "error": f"the zygote cannot fork: {error}"}))
        finally:
            self._reactor.forget(fd)
            self._waiting.pop(fd).close()
            for extra in fds:
                os.close(extra)

    def _serve(self, packet: bytes, connection: int, fds: list[int]) -> None:
        """In the fork: what *packet* asks for."""
        if packet[1:2] == _CONTAINER:
            monitor.run(packet, connection)
        else:
            signal.set_wakeup_fd(-1)
            fork.serve("conmon-fork", connection, fds, lambda own, stdio: self._request(packet, own, stdio))

    def _request(self, packet: bytes, connection: int, fds: list[int]) -> None:
        """In the fork: a REQUEST, read here, so that the zygote's memory stays as it was frozen."""
        message: Message = {}
        try:
            message = protocol.decode_message(protocol.decode(packet)[1])
            seq = number(message, "seq", 0)
            op = message.get("op")
            if op == "exec":
                linux.set_name("conmon-exec")
                Session(ExecRequest(message), connection, fds).run(seq)
            elif op == "podinit":
                podinit.start(PodInitRequest(message), connection, seq)
            elif op in ("ping", "list"):
                reply: Message = {"seq": seq, "major": protocol.MAJOR, "minor": protocol.MINOR, "pid": os.getppid()}
                children = self._described() if op == "list" else []
                os.write(connection, protocol.encode_message(protocol.REPLY, {**reply, "children": children}))
            else:
                raise ProtocolError(f"this zygote knows no request {op!r:.50}")
        except ValueError as error:
            reply = {"seq": message.get("seq", 0), "error": describe(error)}
            os.write(connection, protocol.encode_message(protocol.REPLY, reply))

    def _described(self) -> list[Message]:
        """The children by what was asked for them. One packet has room for about 500."""
        children: list[Message] = []
        for pid, packet in list(self._children.items())[:400]:
            message = protocol.decode_message(packet[protocol.HEADER :])
            children.append({"pid": pid, "kind": message.get("op", "container"), "id": str(message.get("id"))[:64]})
        return children

    def _child(self, pid: int, status: int) -> None:
        packet = self._children.pop(pid, b"")
        if not packet:
            self._stray(pid, status)
        elif packet[1:2] == _CONTAINER and status:
            self._monitor_lost(packet)

    def _monitor_lost(self, packet: bytes) -> None:
        """Adopt the container of a monitor that was killed. One that never got so far has left no state record."""
        try:
            request = ContainerRequest(protocol.decode_message(packet[protocol.HEADER :]))
        except ProtocolError:
            return
        record = files.read_record(f"{request.directory}/{exitrecord.STATE}")
        if not record or os.path.exists(request.exit_path):
            return
        files.remove(f"{request.directory}/{exitrecord.SOCKET}")
        orphan = exitrecord.Orphan(record)
        self._orphans[orphan.pid] = orphan
        if orphan.pid in self._strays:  # the kernel may tell the container's end before the monitor's
            self._stray(orphan.pid, self._strays.pop(orphan.pid))

    def _stray(self, pid: int, status: int) -> None:
        orphan = self._orphans.pop(pid, None)
        if orphan is None:
            self._strays[pid] = status
            while len(self._strays) > MAX_STRAYS:
                del self._strays[next(iter(self._strays))]
            return
        try:
            orphan.write_exit(status)
        except OSError:
            report()
            self._orphans[pid] = orphan
            self._reactor.call_later(1.0, lambda: self._stray(pid, status))


def main() -> None:
    """``python -I -S -c … ROOT DIRECTORY [cgroup.procs …]``: returns in the parent once the zygote listens."""
    directory, cgroup_procs = sys.argv[2], sys.argv[3:]
    os.umask(0o022)
    os.chdir("/")
    zygote = Zygote(directory)
    # The parent ends here: its exit tells the starter that the socket listens, and no zombie of it stays with anyone.
    if os.fork():
        os._exit(0)
    os.setsid()
    for path in cgroup_procs:
        files.write_value(path, "0")
    linux.set_name("conmon-zygote")
    linux.set_child_subreaper()
    zygote.run()
    os._exit(0)
