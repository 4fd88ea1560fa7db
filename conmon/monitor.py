"""One container's monitor: a fork of the zygote that creates the container, keeps its log and terminal, and tells its end.

Life, in order: CREATING (runtime create runs) → RUNNING (from its success to the end of the container's init) → ENDING
(output drained, exit record written, clients told) → the process exits. A monitor whose create fails or is given up undoes
it and exits. Between the reply to ``container`` and the client's ``keep`` the client's going away still undoes; after it,
clients come and go as they like, and the container depends on nobody.

Serves ``monitor.sock`` in the container's directory; requests are those of ``Monitor._OPS``. A process per container: see
``zygote`` for the import budget.
"""

from __future__ import annotations

import os
import socket
import time

from conmon import exitrecord, files, protocol
from conmon.creation import Creation
from conmon.errors import ConmonError, describe
from conmon.hub import Hub
from conmon.linux import malloc_trim
from conmon.logfile import LogFile
from conmon.oom import OomWatch
from conmon.peer import Peer, listen
from conmon.protocol import Message
from conmon.reactor import IN, Reactor
from conmon.requests import AttachRequest, ContainerRequest, number
from conmon.stdio import Input, Output

#: Seconds that a process which outlives the container's init may go on to hold the end of the output back.
DRAIN_GRACE = 0.2
#: Seconds that slow clients get to read what waits for them when the container has ended.
FLUSH_LIMIT = 10.0
#: Seconds between attempts to write the exit record where the file system is full.
RETRY = 1.0
#: Seconds without output after which memory that a burst of output used goes back to the kernel.
TRIM_AFTER = 5.0


class Monitor:
    """The state of one monitor process."""

    def __init__(self, request: ContainerRequest, requester: socket.socket) -> None:
        """*requester* is the connection that the request came on; it becomes the first client."""
        self._request = request
        self._reactor = Reactor(self._child)
        self._directory_fd = os.open(request.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._hub = Hub(replay=request.stdin, stdin_once=request.stdin_once)
        self._clients: list[Peer] = []
        self._owner: Peer | None = self._client(requester)
        self._answered = False
        self._creation: Creation | None = None
        self._outputs: list[Output] = []
        self._oom: OomWatch | None = None
        self._listener: socket.socket | None = None
        self._log: LogFile | None = None
        self._master = -1
        self._pid, self._status = 0, 0
        self._record: Message | None = None
        self._burst = 0

    def run(self, seq: int) -> None:
        """Create the container, answer request *seq* and serve until the container has ended."""
        self._seq = seq
        try:
            self._listener = listen(self._directory_fd, exitrecord.SOCKET)
            self._creation = Creation(self._reactor, self._request, self._directory_fd, self._created)
            self._creation.start()
        except (ConmonError, OSError) as error:
            self._fail(describe(error))
        self._reactor.run()

    # --- creating ---

    def _created(self, pid: int, error: str) -> None:
        """The creation's answer: serve the container, or say why there is none and leave."""
        if error:
            self._fail(error)
            return
        assert self._creation and self._listener
        self._pid = pid
        try:
            self._take_stdio(self._creation)
            self._oom = OomWatch(self._reactor, pid)
            request = self._request
            state = exitrecord.state(request.id, pid, request.exit_path, self._oom.path, request.terminal)
            files.write_record(f"{request.directory}/{exitrecord.STATE}", state)
        except OSError as failure:
            self._creation.undo(f"cannot set up container {self._request.id}: {failure}")
            return
        self._reactor.watch(self._listener.fileno(), IN, self._accept)
        self._answered = True
        if self._owner:
            self._reply(self._owner, self._seq, state)

    def _take_stdio(self, creation: Creation) -> None:
        """Put loops behind the descriptors that the creation made."""
        stdin, outputs = creation.stdin, [(creation.stdout, protocol.STDOUT), (creation.stderr, protocol.STDERR)]
        terminal = self._request.terminal
        if terminal:
            from conmon import terminal as tty  # loads termios: only a container with a terminal pays for it

            self._master = creation.master
            tty.prepare(self._master)
            outputs = [(self._master, protocol.STDOUT)]
            stdin = os.dup(self._master) if self._request.stdin else -1
        creation.stdin = creation.stdout = creation.stderr = creation.master = -1
        self._log = creation.log
        self._outputs = [Output(self._reactor, fd, kind, creation.log, self._publish) for fd, kind in outputs]
        if stdin >= 0:
            self._hub.stdin = Input(self._reactor, stdin, terminal, self._hub.resume)

    def _publish(self, kind: int, data: bytes) -> None:
        self._hub.publish(kind, data)
        if len(data) >= 4096:
            if not self._burst:
                self._reactor.call_later(TRIM_AFTER, self._trim)
            self._burst += 1

    def _trim(self) -> None:
        """Give the memory of a burst back once it is over."""
        burst, self._burst = self._burst, 0
        if burst > 1:
            self._burst = 1
            self._reactor.call_later(TRIM_AFTER, self._trim)
        else:
            malloc_trim()

    def _fail(self, error: str) -> None:
        if self._owner:
            self._owner.send(protocol.encode_message(protocol.REPLY, {"seq": self._seq, "error": error}))
        files.remove(f"{self._request.directory}/{exitrecord.STATE}")
        self._leave()

    # --- clients ---

    def _accept(self, _events: int) -> None:
        assert self._listener
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        self._client(sock).send(protocol.hello("monitor", os.getpid()))

    def _client(self, sock: socket.socket) -> Peer:
        peer = Peer(self._reactor, sock, self._packet, self._gone)
        self._clients.append(peer)
        return peer

    def _gone(self, peer: Peer) -> None:
        self._hub.detach(peer)
        if peer in self._clients:
            self._clients.remove(peer)
        if peer is self._owner:
            self._owner = None
            why = "the client went away before it had taken the container over"
            if not self._answered and self._creation:
                self._creation.abandon(why)
            elif self._creation and not self._record:
                self._pid = 0  # its end is the undo's, not an exit to be recorded
                self._creation.undo(why)
        if self._record:
            self._leave_if_flushed()

    def _packet(self, peer: Peer, kind: int, payload: bytes) -> None:
        if kind in (protocol.STDIN, protocol.STDIN_EOF):
            self._hub.receive(peer, kind, payload)
        elif kind == protocol.REQUEST:
            seq = 0
            try:
                message = protocol.decode_message(payload)
                seq = number(message, "seq", 0)
                operation = self._OPS.get(str(message.get("op")))
                if operation is None:
                    raise ConmonError(f"this monitor knows no request {message.get('op')!r:.50}")
                self._reply(peer, seq, operation(self, peer, message))
            except (ConmonError, OSError, ValueError) as error:
                peer.send(protocol.encode_message(protocol.REPLY, {"seq": seq, "error": describe(error)}))

    def _reply(self, peer: Peer, seq: int, fields: Message) -> None:
        peer.send(protocol.encode_message(protocol.REPLY, {**fields, "seq": seq}))

    # --- requests ---

    def _op_keep(self, peer: Peer, _message: Message) -> Message:
        if peer is self._owner:
            self._owner = None
        return {}

    def _op_state(self, _peer: Peer, _message: Message) -> Message:
        state = files.read_record(f"{self._request.directory}/{exitrecord.STATE}") or {}
        return {**state, "running": not self._record, "exit": self._record}

    def _op_reopen(self, _peer: Peer, _message: Message) -> Message:
        if not self._log:
            raise ConmonError(f"container {self._request.id} has no log file")
        self._log.reopen()
        return {}

    def _op_resize(self, _peer: Peer, message: Message) -> Message:
        if self._master < 0 or self._outputs[0].ended:
            raise ConmonError(f"container {self._request.id} has no terminal")
        from conmon import terminal as tty

        tty.resize(self._master, number(message, "columns", 80), number(message, "rows", 24))
        return {}

    def _op_close_stdin(self, _peer: Peer, _message: Message) -> Message:
        if self._hub.stdin:
            self._hub.stdin.end()
        return {}

    def _op_attach(self, peer: Peer, message: Message) -> Message:
        wants = AttachRequest(message)
        # After the reply: the client reads that first.
        self._reactor.call_later(0, lambda: None if peer.closed else self._hub.attach(peer, wants))
        return {"terminal": self._request.terminal}

    def _op_ping(self, _peer: Peer, _message: Message) -> Message:
        return {"pid": os.getpid(), "major": protocol.MAJOR, "minor": protocol.MINOR}

    _OPS = {
        "keep": _op_keep,
        "state": _op_state,
        "subscribe": _op_state,  # every client is told the exit; this one learns as well whether it has been
        "reopen": _op_reopen,
        "resize": _op_resize,
        "close_stdin": _op_close_stdin,
        "attach": _op_attach,
        "ping": _op_ping,
    }

    # --- ending ---

    def _child(self, pid: int, status: int) -> None:
        if self._creation and self._creation.child_ended(pid, status):
            return
        if pid == self._pid and not self._record:
            self._status, self._ended_at = status, time.time_ns()
            self._drain(time.monotonic() + DRAIN_GRACE)

    def _drain(self, deadline: float) -> None:
        """Log all that the container wrote. A process that lives on (shared PID namespace) may hold the pipes open."""
        for output in self._outputs:
            output.drain(deadline)
        if all(output.ended for output in self._outputs) or time.monotonic() >= deadline:
            for output in self._outputs:
                output.close()
            self._finish()
        else:
            self._reactor.call_later(0.02, lambda: self._drain(deadline))

    def _finish(self) -> None:
        """Write the exit record, and only then tell it. Without room for it, wait: the disk is the truth."""
        kills = self._oom.kills() if self._oom else 0
        dropped = self._log.dropped if self._log else 0
        record = exitrecord.ended(self._request.id, self._pid, self._status, kills, dropped=dropped)
        record["finished_at"] = self._ended_at
        try:
            files.write_record(self._request.exit_path, record)
        except OSError:
            self._reactor.call_later(RETRY, self._finish)
            return
        self._record = record
        for peer in list(self._clients):
            peer.send(protocol.encode_message(protocol.EVENT, {"event": "exit", **record}))
        if self._listener:
            files.remove(f"{self._request.directory}/{exitrecord.SOCKET}")
        self._reactor.call_later(FLUSH_LIMIT, self._leave)
        self._leave_if_flushed()

    def _leave_if_flushed(self) -> None:
        if all(peer.flushed for peer in self._clients):
            self._leave()
        else:
            self._reactor.call_later(0.05, self._leave_if_flushed)

    def _leave(self) -> None:
        """Exit. What was sent stays readable for the clients."""
        if self._listener:
            files.remove(f"{self._request.directory}/{exitrecord.SOCKET}")
        self._reactor.stop()
