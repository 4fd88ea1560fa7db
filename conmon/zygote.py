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

import gc
import os
import signal
import socket
import sys

from conmon import exitrecord, files, fork, linux, peer, podinit, process, protocol
from conmon.errors import ConmonError, describe, report
from conmon.monitor import Monitor
from conmon.protocol import Message, ProtocolError
from conmon.reactor import IN, Reactor
from conmon.requests import ContainerRequest, ExecRequest, PodInitRequest, number
from conmon.runtime import receive_fds
from conmon.session import Session

IMPORT_BUDGET = 95
SOCKET = "zygote.sock"
#: Exit statuses of processes that nobody has claimed yet, kept in case their monitor turns out to be dead.
MAX_STRAYS = 256


class Child:
    """One fork: what it is, of which container, and the directory of its records."""

    def __init__(self, kind: str, container: str, directory: str) -> None:
        self.kind, self.container, self.directory = kind, container, directory


class Zygote:
    """The zygote's loop."""

    def __init__(self, directory: str) -> None:
        """Listen in *directory*. A socket file that is there is taken to be a dead zygote's (the starter holds the lock)."""
        self._directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        files.remove(f"{directory}/{SOCKET}")
        self._listener = peer.listen(self._directory_fd, SOCKET)
        self._children: dict[int, Child] = {}
        self._orphans: dict[int, exitrecord.Orphan] = {}
        self._strays: dict[int, int] = {}
        self._waiting: dict[int, socket.socket] = {}

    def run(self) -> None:
        """Serve until ``quit`` or SIGTERM."""
        self._reactor = Reactor(self._child)
        self._reactor.watch(self._listener.fileno(), IN, self._accept)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.stop())
        gc.collect()
        # Frozen objects are never touched by a collection, so their pages stay shared with the forks.
        gc.freeze()
        self._reactor.run()

    def _accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.send(protocol.hello("zygote", os.getpid()))
        except OSError:
            return
        self._waiting[sock.fileno()] = sock
        self._reactor.watch(sock.fileno(), IN, lambda _events: self._receive(sock))

    def _receive(self, sock: socket.socket) -> None:
        fds: list[int] = []
        seq = 0
        try:
            packet, fds = receive_fds(sock, protocol.MAX_PACKET + 1)
            if not packet:
                self._drop(sock)
                return
            kind, payload = protocol.decode(packet)
            if kind == protocol.REQUEST:
                message = protocol.decode_message(payload)
                seq = number(message, "seq", 0)
                self._serve(sock, seq, message, fds)
        except BlockingIOError:
            return
        except (ConmonError, ValueError) as error:
            self._answer(sock, {"seq": seq, "error": describe(error)})
        except OSError as error:
            self._answer(sock, {"seq": seq, "error": f"the zygote cannot fork: {error}"})
        finally:
            for fd in fds:
                os.close(fd)

    def _serve(self, sock: socket.socket, seq: int, message: Message, fds: list[int]) -> None:
        op = message.get("op")
        if op == "container":
            container = ContainerRequest(message)
            child = Child("monitor", container.id, container.directory)
            self._fork(child, "conmon", sock, [], lambda conn, _fds: _monitor(container, conn, seq))
        elif op == "exec":
            session = ExecRequest(message)
            child = Child("exec", session.id, session.directory)
            self._fork(child, "conmon-exec", sock, fds, lambda conn, fds: Session(session, conn, fds).run(seq))
        elif op == "podinit":
            pod = PodInitRequest(message)
            child = Child("podinit", pod.id, "")
            self._fork(child, "conmon-podinit", sock, [], lambda conn, _fds: podinit.start(pod, conn, seq))
        elif op == "ping":
            version: Message = {"major": protocol.MAJOR, "minor": protocol.MINOR}
            self._answer(sock, {"seq": seq, "pid": os.getpid(), **version})
        elif op == "list":
            # One packet holds about 500 children; the rest is counted, not shown.
            shown = [{"pid": pid, "kind": c.kind, "id": c.container} for pid, c in list(self._children.items())[:250]]
            self._answer(sock, {"seq": seq, "children": shown, "total": len(self._children)})
        elif op == "quit":
            self._answer(sock, {"seq": seq})
            self._reactor.stop()
        else:
            raise ProtocolError(f"this zygote knows no request {op!r:.50}")

    def _fork(self, child: Child, name: str, sock: socket.socket, fds: list[int], body: fork.Body) -> None:
        """Hand *sock* and *fds* to a fork that runs *body* and exits."""
        pid = os.fork()
        if pid == 0:
            fork.run(name, sock, fds, self._reactor, body)
        self._children[pid] = child
        self._drop(sock)

    def _answer(self, sock: socket.socket, message: Message) -> None:
        try:
            sock.send(protocol.encode_message(protocol.REPLY, message))
        except OSError:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        if self._waiting.pop(sock.fileno(), None):
            self._reactor.forget(sock.fileno())
            sock.close()

    def _child(self, pid: int, status: int) -> None:
        child = self._children.pop(pid, None)
        if child is None:
            self._stray(pid, status)
        elif child.kind == "monitor":
            self._monitor_ended(child)

    def _monitor_ended(self, child: Child) -> None:
        """Adopt the container of a monitor that left no exit record behind. One that failed to create left no state."""
        record = files.read_record(f"{child.directory}/{exitrecord.STATE}")
        if not record or os.path.exists(str(record.get("exit_path"))):
            return
        files.remove(f"{child.directory}/{exitrecord.SOCKET}")
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


def _monitor(request: ContainerRequest, requester: socket.socket, seq: int) -> None:
    process.set_oom_score_adj(request.oom_score_adj)
    Monitor(request, requester).run(seq)


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
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    zygote.run()
    os._exit(0)
