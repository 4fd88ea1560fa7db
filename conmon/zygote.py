"""The zygote: a small, single-threaded parent that forks monitors, exec sessions and pod inits on request.

Started by ``starter`` as ``python -I -S`` with a fixed environment, /dev/null as stdin and stdout, a session of its
own and, when asked, cgroups of its own. It serves two sockets in its directory, ``containers.sock`` (CONTAINER
requests) and ``zygote.sock`` (``exec``, ``podinit``, ``userns``, ``ping``, ``list``, ``quit``; see ``requests``):
every connection is a fork, which reads the one request that comes and serves it.

It is a subreaper. When a monitor is killed, the zygote inherits its container, and writes the exit record in its
place. It finds the container's directory in ``entries``. A zygote that dies is replaced by the next client that needs
one; the monitors it forked live on.

Memory budget: a monitor's mean PSS with 50 of them is at most 500 KiB. What that takes:

* imports: everything imported here is in every monitor. No asyncio, contextlib, dataclasses, logging, subprocess,
  threading, traceback or typing; at most IMPORT_BUDGET modules in all (tested). What few need is imported there and
  then;
* pages that are written stop being shared, and reference counts are writes. So the zygote itself does next to nothing
  between two forks, a monitor leaves what it can to forks of its own (``creation``) and dozes when it can (``doze``),
  and ``warmup`` and ``heap`` prepare the rest.
"""

from __future__ import annotations

import _socket
import os
import select
import signal
import sys

from conmon import (
    creation,
    doze,
    entries,
    exitrecord,
    files,
    fork,
    heap,
    linux,
    pack,
    podinit,
    process,
    protocol,
    reactor,
    slots,
    warmup,
)
from conmon.errors import describe, report
from conmon.monitor import Monitor
from conmon.peer import accept, listen, receive_fds
from conmon.protocol import Message, ProtocolError
from conmon.requests import ExecRequest, PodInitRequest, UserNamespaceRequest, number
from conmon.session import Session

IMPORT_BUDGET = 95
#: Two sockets, so that a monitor need not read its request to know that it is one: containers, everything else.
CONTAINERS, SOCKET = "containers.sock", "zygote.sock"
#: Exit statuses of processes that nobody has claimed yet, kept in case their monitor turns out to be dead.
MAX_STRAYS = 256
#: Bytes of one signalfd_siginfo, which begins with the signal's number (signalfd(2)).
_SIGINFO = 128


class Zygote:
    """The zygote's loop."""

    def __init__(self, directory: str) -> None:
        """Listen in *directory*. Socket files that are there are taken to be a dead zygote's (the starter holds the
        lock). Closes every descriptor that is no slot."""
        plugs = heap.plug()
        self._doze, self._run, self._clone = pack.copies(doze.run, fork.run, linux.clone)
        del plugs
        warmup.rehearse(directory, self._doze)
        self._directory = directory
        self._orphans: dict[int, Message] = {}
        self._strays: dict[int, int] = {}
        entries.sweep(directory)
        directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._listeners: dict[int, _socket.socket] = {}
        self._containers = self._listen(directory_fd, CONTAINERS)
        self._listen(directory_fd, SOCKET)  # the last, since a starter looks for it
        os.close(directory_fd)

    def _listen(self, directory_fd: int, name: str) -> int:
        files.remove(f"{self._directory}/{name}")
        listener = _socket.socket(fileno=listen(directory_fd, name).detach())
        self._listeners[listener.fileno()] = listener
        return listener.fileno()

    def run(self) -> None:
        """Serve until killed; never returns."""
        self._pid = os.getpid()
        self._hello = protocol.hello("zygote", self._pid)
        # What a fork calls, made here once and not in every fork.
        self._monitor = (self._doze, self._create, self._wake)
        self._service = (self._serve,)
        self._signals = linux.signalfd_children(end=True)
        self._epoll.register(self._signals, select.EPOLLIN)
        listeners = list(self._listeners)
        self._rehearse()
        self._plugs = heap.freeze()
        # Not before: a monitor that was forked from an unfrozen heap would be five times as large.
        for fd in listeners:
            self._epoll.register(fd, select.EPOLLIN)
        while True:
            self._turn()

    def _turn(self) -> None:
        fd = self._epoll.poll(None, 1)[0][0]
        if fd == self._signals:
            told = os.read(self._signals, 4096)
            self._reap()
            if any(told[at] == signal.SIGTERM for at in range(0, len(told), _SIGINFO)):
                os._exit(0)  # a host that shuts down waits for it, and whoever needs one again starts one
        else:
            self._fork(fd)

    def _fork(self, listener: int) -> None:
        """Accept, and leave the connection to a fork."""
        try:
            fd = accept(self._listeners[listener])
        except OSError:
            return  # the client has gone
        self._connection = fd
        try:
            pid = self._clone(linux.FORK) if listener == self._containers else os.fork()
        except OSError:
            report()  # EAGAIN: the client sees its connection end
            pid = -1
        if pid == 0:
            self._run(*(self._monitor if listener == self._containers else self._service))
        os.close(fd)

    def _rehearse(self) -> None:
        """Fork for clients that leave at once, so that what this loop does once only is done; see ``warmup``."""
        directory_fd = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        listener = self._listen(directory_fd, warmup.SOCKET)
        self._epoll.register(listener, select.EPOLLIN)
        for _ in range(warmup.ROUNDS):
            client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            client.connect(f"/proc/self/fd/{directory_fd}/{warmup.SOCKET}")
            client.close()
            self._turn()
        self._epoll.unregister(listener)
        self._listeners.pop(listener).close()
        files.remove(f"{self._directory}/{warmup.SOCKET}")
        os.close(directory_fd)

    # --- in a fork ---

    def _create(self) -> int:
        return creation.run(self._connection, self._directory)

    def _wake(self, dozed: doze.Doze) -> None:
        Monitor(dozed, self._directory).run()

    def _serve(self) -> None:
        """Greet the client, read its request, do it."""
        fd = self._connection
        connection = _socket.socket(fileno=fd)
        try:
            connection.send(self._hello)
            packet, fds = receive_fds(connection, protocol.MAX_PACKET + 1)
        except OSError:
            return
        finally:
            connection.detach()
        if packet:
            fork.settle("conmon-fork", [fd, *fds])
            fork.guarded(fd, "the request's fork", lambda: self._request(packet, fd, fds))

    def _request(self, packet: bytes, connection: int, fds: list[int]) -> None:
        message: Message = {}
        try:
            message = protocol.decode_message(protocol.decode(packet)[1])
            seq = number(message, "seq", 0)
            op = message.get("op")
            if op == "exec":
                linux.set_name(b"conmon-exec")
                Session(ExecRequest(message), connection, fds).run(seq)
            elif op == "podinit":
                podinit.start(PodInitRequest(message), connection, seq)
            elif op == "userns":
                from conmon import userns  # few pods ask for it, and monitors need not carry it

                userns.start(UserNamespaceRequest(message), connection, seq)
            elif op in ("ping", "list"):
                version: Message = {"major": protocol.MAJOR, "minor": protocol.MINOR, "pid": self._pid}
                children = _children(self._directory) if op == "list" else []
                os.write(
                    connection, protocol.encode_message(protocol.REPLY, {"seq": seq, **version, "children": children})
                )
            elif op == "quit":
                process.send(self._pid, signal.SIGKILL)
            else:
                raise ProtocolError(f"this zygote knows no request {op!r:.50}")
        except ValueError as error:
            reply: Message = {"seq": message.get("seq", 0), "error": describe(error)}
            os.write(connection, protocol.encode_message(protocol.REPLY, reply))

    # --- children ---

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            try:
                self._ended(pid, status)
            except OSError:
                report()

    def _ended(self, pid: int, status: int) -> None:
        """Only a process that was killed leaves its entry. The container of a killed monitor is adopted."""
        if pid in self._orphans:
            exitrecord.write_lost(self._orphans.pop(pid), status)
            return
        for entry in entries.read(self._directory) if status else ():
            if entry.pid == pid:
                self._adopt(entry)
                return
        self._strays[pid] = status
        while len(self._strays) > MAX_STRAYS:
            del self._strays[next(iter(self._strays))]

    def _adopt(self, entry: entries.Entry) -> None:
        files.remove(entry.path)
        record = exitrecord.adopt(entry.directory, entry.pid)
        pid = record.get("pid") if record else None
        if record is None or not isinstance(pid, int):
            return
        files.remove(f"{entry.directory}/{exitrecord.SOCKET}")
        if pid in self._strays:  # the kernel may tell the container's end before the monitor's
            exitrecord.write_lost(record, self._strays.pop(pid))
        elif process.starttime(pid) == record.get("pid_start"):
            self._orphans[pid] = record


def _children(directory: str) -> list[Message]:
    """The living processes that have entries, those of earlier zygotes too. One packet has room for some hundreds."""
    living = [entry for entry in entries.read(directory) if process.starttime(entry.pid)][:400]
    return [{"pid": entry.pid, "kind": entry.kind, "id": entry.container} for entry in living]


def main() -> None:
    """``python -I -S -c … ROOT DIRECTORY [cgroup.procs …]``: returns in the parent once the zygote listens."""
    directory, cgroup_procs = sys.argv[2], sys.argv[3:]
    os.umask(0o022)
    os.chdir("/")
    slots.reserve()
    reactor.block_signals()
    zygote = Zygote(directory)
    # The parent ends here: its exit tells the starter that the socket listens, and no zombie of it stays with anyone.
    if os.fork():
        os._exit(0)
    os.setsid()
    for path in cgroup_procs:
        files.write_value(path, "0")
    linux.set_name(b"conmon-zygote")
    linux.set_child_subreaper()
    zygote.run()
