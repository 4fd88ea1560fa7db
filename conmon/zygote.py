"""The zygote: a small, single-threaded parent that forks monitors, exec sessions and pod inits on request.

Started by ``starter`` as ``python -I -S`` with a fixed environment, /dev/null as stdin and stdout, a session of its own
and, when asked, cgroups of its own. It serves ``zygote.sock`` in its directory: every connection is a fork, which reads
the one request that comes (``requests``: CONTAINER, ``exec``, ``podinit``; and ``ping``, ``list``, QUIT) and serves it.

It is a subreaper. When a monitor is killed, the zygote inherits its container, and writes the exit record in its place. It
finds the container's directory through ``monitors/PID``, a symbolic link that the creation makes. A zygote that dies is
replaced by the next client that needs one; the monitors it forked live on.

Memory budget: a monitor's mean PSS with 50 of them is at most 500 KiB. What that takes:

* imports: everything imported here is in every monitor. No asyncio, contextlib, dataclasses, logging, subprocess,
  threading, traceback or typing; at most IMPORT_BUDGET modules in all (tested). What few need is imported there and then;
* pages that are written stop being shared, by reference counts too. So the zygote itself does next to nothing between two
  forks, a monitor leaves what it can to forks of its own (``creation``), and ``warmup`` and ``heap`` prepare the rest.
"""

from __future__ import annotations

import _socket
import os
import signal
import sys

from conmon import exitrecord, files, fork, heap, linux, monitor, podinit, process, protocol, reactor, warmup
from conmon.errors import describe, report
from conmon.peer import listen, receive_fds
from conmon.protocol import Message, ProtocolError
from conmon.requests import ExecRequest, PodInitRequest, number
from conmon.session import Session

IMPORT_BUDGET = 95
SOCKET = "zygote.sock"
#: Exit statuses of processes that nobody has claimed yet, kept in case their monitor turns out to be dead.
MAX_STRAYS = 256


class Zygote:
    """The zygote's loop."""

    def __init__(self, directory: str) -> None:
        """Listen in *directory*. A socket file that is there is taken to be a dead zygote's (the starter holds the lock)."""
        self._directory = directory
        self._directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        files.remove(f"{directory}/{SOCKET}")
        self._listener = _socket.socket(fileno=listen(self._directory_fd, SOCKET).detach())
        self._listener.setblocking(True)
        self._orphans: dict[int, exitrecord.Orphan] = {}
        self._strays: dict[int, int] = {}
        os.makedirs(f"{directory}/{exitrecord.MONITORS}", mode=0o700, exist_ok=True)

    def run(self) -> None:
        """Serve until QUIT, which is a SIGTERM from a fork; never returns."""
        self._pid = os.getpid()
        self._hello = protocol.hello("zygote", self._pid)
        reactor.handle_signals()
        warmup.rehearse(self._directory_fd)
        signal.signal(signal.SIGCHLD, self._children)
        signal.signal(signal.SIGTERM, self._terminate)
        self._plugs = heap.freeze()
        while True:
            self._accept()

    def _accept(self) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - without a socket object
            if os.fork() == 0:
                fork.run(lambda: self._serve(fd))
            os.close(fd)
        except OSError:
            report()  # EMFILE, EAGAIN: the client sees its connection end

    def _terminate(self, _signum: int, _frame: object) -> None:
        """Monitors inherit this handler, and ignore SIGTERM by it."""
        if os.getpid() == self._pid:
            os._exit(0)

    # --- in a fork ---

    def _serve(self, fd: int) -> None:
        """Greet the client, read its request, do it."""
        signal.set_wakeup_fd(-1)
        os.write(fd, self._hello)
        connection = _socket.socket(fileno=fd)
        packet, fds = receive_fds(connection, protocol.MAX_PACKET + 1)
        connection.detach()
        if packet[1:2] == _CONTAINER:
            monitor.run(packet, fd, self._directory)
        elif packet[1:2] == _QUIT:
            process.send(self._pid, signal.SIGTERM)
        elif packet:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            fork.serve("conmon-fork", fd, fds, lambda own, stdio: self._request(packet, own, stdio))

    def _request(self, packet: bytes, connection: int, fds: list[int]) -> None:
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
                version: Message = {"major": protocol.MAJOR, "minor": protocol.MINOR, "pid": self._pid}
                monitors = self._monitors() if op == "list" else []
                os.write(connection, protocol.encode_message(protocol.REPLY, {"seq": seq, **version, "monitors": monitors}))
            else:
                raise ProtocolError(f"this zygote knows no request {op!r:.50}")
        except ValueError as error:
            reply: Message = {"seq": message.get("seq", 0), "error": describe(error)}
            os.write(connection, protocol.encode_message(protocol.REPLY, reply))

    def _monitors(self) -> list[Message]:
        """The living monitors, of earlier zygotes too. One packet has room for some hundreds."""
        links = f"{self._directory}/{exitrecord.MONITORS}"
        found: list[Message] = []
        for name in sorted(os.listdir(links))[:200]:
            if process.starttime(int(name)):
                found.append({"pid": int(name), "directory": os.readlink(f"{links}/{name}")})
        return found

    # --- children ---

    def _children(self, _signum: int, _frame: object) -> None:
        """Reap. Forks inherit this handler for their reactor's sake, which does its own reaping."""
        if os.getpid() != self._pid:
            return
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
        """Only a monitor that was killed has left its link; its container is adopted."""
        link = exitrecord.link(self._directory, pid)
        if status and os.path.islink(link):
            directory = os.readlink(link)
            files.remove(link)
            self._adopt(directory)
        elif pid in self._orphans:
            self._orphans.pop(pid).write_exit(status)
        else:
            self._strays[pid] = status
            while len(self._strays) > MAX_STRAYS:
                del self._strays[next(iter(self._strays))]

    def _adopt(self, directory: str) -> None:
        record = files.read_record(f"{directory}/{exitrecord.STATE}")
        files.remove(f"{directory}/{exitrecord.SOCKET}")
        if record:
            orphan = exitrecord.Orphan(record)
            if orphan.pid in self._strays:  # the kernel may tell the container's end before the monitor's
                orphan.write_exit(self._strays.pop(orphan.pid))
            else:
                self._orphans[orphan.pid] = orphan


_CONTAINER, _QUIT = bytes((protocol.CONTAINER,)), bytes((protocol.QUIT,))


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
