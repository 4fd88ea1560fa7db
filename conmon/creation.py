"""Creating one container: stdio, ``runtime create``, and the undo of all of it when that fails or is given up.

Runs in processes of its own, so that what only the creation needs (JSON, argv, /proc) never dirties the monitor's
memory. The first shares the monitor's descriptors and leaves it what it needs in ``slots``. Its parent, the monitor,
is a subreaper, so the container's init becomes the monitor's child. When the container is there, a second one answers
the client and waits for its ``keep``, while the first ends and the monitor begins. A client that goes away before
``keep`` has given up, and everything is undone.
"""

from __future__ import annotations

import _socket
import os
import select
import signal

from conmon import entries, exitrecord, files, fork, linux, oom, process, protocol, runtime, slots
from conmon.errors import ConmonError, describe
from conmon.logfile import open_log
from conmon.peer import Peer, listen, receive_fds
from conmon.reactor import Reactor
from conmon.requests import ContainerRequest, number
from conmon.stdio import make_pipe

#: Seconds that ``runtime delete --force`` may take in an undo.
UNDO_LIMIT = 10.0


def run(connection: int, zygote_directory: str) -> int:
    """Greet the client on *connection*, read its CONTAINER request, serve it. Returns a READY of ``slots`` when the
    monitor may begin, 0 when there is nothing for it to do."""
    linux.set_name(b"conmon-create")
    packet = _read_request(connection)
    message: protocol.Message = {}
    try:
        kind, payload = protocol.decode(packet)
        message = protocol.decode_message(payload)
        if kind != protocol.CONTAINER:
            raise protocol.ProtocolError(f"packet of kind {kind} on the socket for containers")
        request = ContainerRequest(message)
        seq = number(message, "seq", 0)
    except ValueError as error:
        if packet:
            reply: protocol.Message = {"seq": message.get("seq", 0), "error": describe(error)}
            os.write(connection, protocol.encode_message(protocol.REPLY, reply))
        return 0
    creation = Creation(message, request, seq, zygote_directory)
    status = 0

    def create() -> None:
        nonlocal status
        status = creation.run(connection)

    fork.guarded(connection, "creation", create)
    return status


def _read_request(connection: int) -> bytes:
    """The one packet of a client that is greeted; nothing from one that has left."""
    sock = _socket.socket(fileno=connection)
    try:
        sock.send(protocol.hello("creation"))
        packet, fds = receive_fds(sock, protocol.MAX_PACKET + 1)
    except OSError:
        return b""
    finally:
        sock.detach()
    for fd in fds:
        os.close(fd)
    return packet


class Creation:
    """``runtime create`` on its way."""

    def __init__(self, message: protocol.Message, request: ContainerRequest, seq: int, zygote_directory: str) -> None:
        self._message, self._request, self._seq = message, request, seq
        self._monitor_pid = os.getppid()
        self._monitor_entry = entries.path(zygote_directory, self._monitor_pid, entries.MONITOR, request.id)
        self._zygote_directory = zygote_directory
        self._stderr = -1
        self._listening = self._log_created = False
        self._invocation: runtime.Invocation | None = None
        self._state: protocol.Message = {}
        self._deleting = 0
        self._error = ""
        self._dozes = not (request.terminal or request.stdin)

    def run(self, connection: int) -> int:
        """Create; on failure undo and tell the client. Returns as ``creation.run``."""
        entry = self._begin(connection)
        try:
            process.set_oom_score_adj(self._request.oom_score_adj, self._monitor_pid)
            self._start()
        except (ConmonError, OSError) as error:
            self._error = describe(error)
            self._clean()
        self._reactor.run()
        if self._state and os.fork() == 0:
            fork.run(lambda: self._await_keep(connection))
        files.remove(entry)
        if not self._state:
            return 0
        return slots.READY_TO_DOZE if self._dozes else slots.READY

    def _begin(self, connection: int) -> str:
        """A reactor with the client in it, and an entry for this process; returns that."""
        self._reactor = Reactor(self._child)
        self._client = Peer(self._reactor, connection, self._packet, self._gone, linger=True)
        entry = entries.path(self._zygote_directory, os.getpid(), entries.CREATION, self._request.id)
        entries.add(entry, self._request.directory)
        return entry

    def _await_keep(self, connection: int) -> int:
        """In the second process: answer, and see that the client takes the container over."""
        fork.close_all_but([connection])
        entry = self._begin(connection)
        self._client.send(protocol.encode_message(protocol.REPLY, {**self._state, "seq": self._seq}))
        self._reactor.run()
        files.remove(entry)
        return 0

    def _start(self) -> None:
        request = self._request
        directory = os.open(request.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        slots.fill(slots.DIRECTORY, directory)
        listener = listen(slots.DIRECTORY, exitrecord.SOCKET)
        self._listening = True
        slots.fill(slots.LISTENER, listener.detach())
        if request.log_path:
            log, self._log_created = open_log(request.log_path)
            slots.fill(slots.LOG, log)
        self._invocation = runtime.Invocation(
            self._reactor, request.directory, slots.DIRECTORY, "create", request.terminal
        )
        theirs = self._stdio()
        try:
            argv = runtime.create_argv(request.runtime, request.bundle, request.create_flags, request.id)
            self._invocation.start(argv, "create", (theirs[0], theirs[1], theirs[2]), request.systemd_cgroup)
        finally:
            for fd in theirs:
                os.close(fd)

    def _stdio(self) -> list[int]:
        """Make the monitor's ends and return the container's."""
        request = self._request
        theirs = [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)]
        if request.terminal:
            # The runtime's own stderr: its words when it cannot even open its log.
            self._stderr, stderr = make_pipe(-1, -1)
            return [*theirs, os.dup(theirs[0]), stderr]
        if request.stdin:
            os.close(theirs.pop())
            reader, writer = make_pipe(request.stdio_uid, request.stdio_gid)
            slots.fill(slots.STDIN, writer)
            theirs.append(reader)
        for slot in (slots.STDOUT, slots.STDERR):
            reader, writer = make_pipe(request.stdio_uid, request.stdio_gid)
            slots.fill(slot, reader)
            theirs.append(writer)
        self._stderr = slots.STDERR
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
                slots.fill(slots.MASTER, self._invocation.master)
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
        """Fill the last slots and write the state record; the loop ends with that. Raises ConmonError or OSError."""
        request = self._request
        if os.getppid() != self._monitor_pid:
            raise ConmonError("its monitor was killed")
        if request.terminal:
            from conmon import terminal  # loads termios: only a container with a terminal pays for it

            terminal.prepare(slots.MASTER)
        counter = oom.open_counter(pid)
        if counter:
            slots.fill(slots.OOM, counter.fd)
            if counter.event >= 0:
                slots.fill(slots.OOM_EVENT, counter.event)
            if counter.parent >= 0:
                slots.fill(slots.OOM_PARENT, counter.parent)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.write(writer, b"%d" % pid)
        slots.fill(slots.NOTE, reader)
        if self._dozes:
            self._watch_slots(counter)
        state = exitrecord.state(self._message, request, self._monitor_pid, pid, counter)
        files.write_record(f"{request.directory}/{exitrecord.STATE}", state)
        entries.add(self._monitor_entry, request.directory)
        self._state = state
        self._reactor.stop()

    def _watch_slots(self, counter: oom.Counter | None) -> None:
        """Make the epoll that the monitor dozes on."""
        epoll = select.epoll()
        for slot in (slots.LISTENER, slots.STDOUT, slots.STDERR):
            epoll.register(slot, select.EPOLLIN)
        if counter and counter.event >= 0:
            epoll.register(slots.OOM_EVENT, select.EPOLLIN)
        elif counter and counter.version == 2:
            epoll.register(slots.OOM, select.EPOLLPRI)
        os.dup2(epoll.fileno(), slots.EPOLL, inheritable=False)
        epoll.close()

    def _packet(self, _peer: Peer, kind: int, payload: bytes) -> None:
        if kind == protocol.REQUEST and protocol.decode_message(payload).get("op") == "keep" and self._state:
            self._reactor.stop()

    def _gone(self, _peer: Peer) -> None:
        self._abandon("the client went away before it had taken the container over")

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
        """``runtime delete --force``. The monitor goes first, quietly: with the state record gone, nobody writes an
        exit record for a container that never was."""
        self._error = why
        request = self._request
        files.remove(f"{request.directory}/{exitrecord.STATE}")
        files.remove(self._monitor_entry)
        if self._state and os.getppid() == self._monitor_pid:
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
        if self._listening:
            files.remove(f"{request.directory}/{exitrecord.SOCKET}")
        if self._log_created and not os.stat(request.log_path).st_size:
            files.remove(request.log_path)
        self._client.send(protocol.encode_message(protocol.REPLY, {"seq": self._seq, "error": self._error}))
        self._reactor.stop()
