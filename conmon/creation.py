"""Creating one container: stdio, ``runtime create``, and the undo of all of it when that fails or is given up.

Runs in a process of its own, forked by the monitor and gone when the container is there, so that what only the creation
needs (JSON, argv, /proc) never dirties the monitor's memory. The monitor is its parent and a subreaper, so the container's
init becomes the monitor's child. The creation hands the monitor its descriptors (``handover``), answers the client and
waits for the client's ``keep``; a client that goes away before has given up, and everything is undone.
"""

from __future__ import annotations

import os
import signal
import socket

from conmon import exitrecord, files, handover, oom, process, protocol, runtime
from conmon.errors import ConmonError, describe
from conmon.logfile import open_log
from conmon.peer import Peer, listen, send_fds
from conmon.reactor import Reactor
from conmon.requests import ContainerRequest, number
from conmon.stdio import make_pipe

#: Seconds that ``runtime delete --force`` may take in an undo.
UNDO_LIMIT = 10.0


def run(packet: bytes, requester: int, monitor: int, zygote_directory: str) -> None:
    """Serve the CONTAINER *packet* that came on *requester*; *monitor* is the socket to the monitor, this one's parent."""
    message: protocol.Message = {}
    try:
        message = protocol.decode_message(protocol.decode(packet)[1])
        request = ContainerRequest(message)
    except ValueError as error:
        reply: protocol.Message = {"seq": message.get("seq", 0), "error": describe(error)}
        os.write(requester, protocol.encode_message(protocol.REPLY, reply))
        return
    Creation(request, number(message, "seq", 0), requester, monitor, zygote_directory).run()


class Creation:
    """``runtime create`` on its way."""

    def __init__(self, request: ContainerRequest, seq: int, requester: int, monitor: int, zygote_directory: str) -> None:
        self._request, self._seq = request, seq
        self._monitor_pid = os.getppid()
        self._link = exitrecord.link(zygote_directory, self._monitor_pid)
        self._reactor = Reactor(self._child)
        self._client = Peer(self._reactor, requester, self._packet, self._gone)
        self._monitor = Peer(self._reactor, monitor, lambda *_: None, self._monitor_gone)
        self._monitor_fd = monitor
        self._fds: dict[str, int] = {}
        self._stderr = -1
        self._log_created = False
        self._invocation: runtime.Invocation | None = None
        self._deleting = 0
        self._error = ""
        self._handed_over = False

    def run(self) -> None:
        """Create, answer, and return when the client has taken the container over or nothing of it is left."""
        try:
            process.set_oom_score_adj(self._request.oom_score_adj, self._monitor_pid)
            self._start()
        except (ConmonError, OSError) as error:
            self._error = describe(error)
            self._clean()
        self._reactor.run()

    def _start(self) -> None:
        request = self._request
        directory = os.open(request.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._fds[handover.LISTENER] = listen(directory, exitrecord.SOCKET).detach()
        if request.log_path:
            self._fds[handover.LOG], self._log_created = open_log(request.log_path)
        self._invocation = runtime.Invocation(self._reactor, request.directory, directory, "create", request.terminal)
        theirs = self._stdio()
        try:
            argv = runtime.create_argv(request.runtime, request.bundle, request.create_flags, request.id)
            self._invocation.start(argv, "create", (theirs[0], theirs[1], theirs[2]), request.systemd_cgroup)
        finally:
            for fd in theirs:
                os.close(fd)

    def _stdio(self) -> list[int]:
        """Make the monitor's ends and return the container's, which are above 2 since those numbers are taken."""
        request = self._request
        theirs = [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)]
        if request.terminal:
            # The runtime's own stderr: its words when it cannot even open its log.
            self._stderr, stderr = make_pipe(-1, -1)
            return [*theirs, os.dup(theirs[0]), stderr]
        if request.stdin:
            os.close(theirs.pop())
            reader, self._fds[handover.STDIN] = make_pipe(request.stdio_uid, request.stdio_gid)
            theirs.append(reader)
        for key in (handover.STDOUT, handover.STDERR):
            self._fds[key], writer = make_pipe(request.stdio_uid, request.stdio_gid)
            theirs.append(writer)
        self._stderr = self._fds[handover.STDERR]
        return theirs

    def _child(self, pid: int, status: int) -> None:
        if self._invocation and pid == self._invocation.pid:
            self._runtime_ended(status)
        elif pid == self._deleting:
            self._deleting = 0
            self._clean()

    def _runtime_ended(self, status: int) -> None:
        assert self._invocation
        self._invocation.pid = 0
        try:
            pid = self._invocation.finish(status, self._said() if status else b"")
            if self._invocation.master >= 0:
                self._fds[handover.MASTER] = self._invocation.master
            if self._error:
                raise ConmonError(self._error)
            self._created(pid)
        except (ConmonError, OSError) as error:
            self._undo(self._error or f"{self._request.runtime[0]} create: {describe(error)}")

    def _said(self) -> bytes:
        os.set_blocking(self._stderr, False)
        try:
            return os.read(self._stderr, runtime.MAX_WORDS)
        except OSError:
            return b""

    def _created(self, pid: int) -> None:
        """Hand over to the monitor, write the state record, answer. Raises OSError when the monitor is gone."""
        request = self._request
        if request.terminal:
            from conmon import terminal  # loads termios: only a container with a terminal pays for it

            terminal.prepare(self._fds[handover.MASTER])
        counter = oom.open_counter(pid)
        if counter:
            self._fds[handover.OOM_COUNTER] = counter.fd
            if counter.event >= 0:
                self._fds[handover.OOM_EVENT] = counter.event
        state = exitrecord.state(request, self._monitor_pid, pid, counter.path if counter else "")
        files.write_record(f"{request.directory}/{exitrecord.STATE}", state)
        files.remove(self._link)  # of a monitor that had the same pid, when the zygote was dead
        os.symlink(request.directory, self._link)
        note = handover.encode(pid, request.terminal, request.stdin, request.stdin_once, self._fds)
        self._handed_over = True
        send_fds(self._monitor_fd, note, list(self._fds.values()))
        self._client.send(protocol.encode_message(protocol.REPLY, {**state, "seq": self._seq}))

    def _packet(self, _peer: Peer, kind: int, payload: bytes) -> None:
        if kind == protocol.REQUEST and protocol.decode_message(payload).get("op") == "keep" and self._handed_over:
            self._reactor.stop()

    def _gone(self, _peer: Peer) -> None:
        self._abandon("the client went away before it had taken the container over")

    def _monitor_gone(self, _peer: Peer) -> None:
        if not self._handed_over:
            self._abandon("the monitor was killed")

    def _abandon(self, why: str) -> None:
        """Stop the runtime, then undo; or undo at once when it has done its work."""
        if self._error:
            return
        if self._invocation and self._invocation.pid:
            self._error = why
            process.kill_tree(os.getpid(), [])
        else:
            self._undo(why)

    def _undo(self, why: str) -> None:
        """``runtime delete --force``. The monitor goes first, quietly: with the state record gone, nobody writes an exit
        record for a container that never was."""
        self._error = why
        request = self._request
        files.remove(f"{request.directory}/{exitrecord.STATE}")
        files.remove(self._link)
        if self._handed_over and os.getppid() == self._monitor_pid:
            process.send(self._monitor_pid, signal.SIGKILL)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            argv = [*request.runtime, *(["--systemd-cgroup"] if request.systemd_cgroup else [])]
            self._deleting = runtime.spawn([*argv, "delete", "--force", request.id], (null, null, null))
            self._reactor.call_later(UNDO_LIMIT, self._give_up)
        except ConmonError:
            self._clean()
        finally:
            os.close(null)

    def _give_up(self) -> None:
        if self._deleting:
            process.send(self._deleting, signal.SIGKILL)

    def _clean(self) -> None:
        """Remove what is on disk, tell the client why, end."""
        request = self._request
        if self._invocation:
            self._invocation.close()
        if handover.LISTENER in self._fds:
            files.remove(f"{request.directory}/{exitrecord.SOCKET}")
        if self._log_created and not os.fstat(self._fds[handover.LOG]).st_size:
            files.remove(request.log_path)
        self._client.send(protocol.encode_message(protocol.REPLY, {"seq": self._seq, "error": self._error}))
        self._reactor.stop()
