"""The full monitor of one container: what ``doze`` becomes when its container or a client wants more than whole lines.

Keeps the container's log and terminal, serves clients on ``monitor.sock`` (requests are those of ``Monitor._OPS``;
every client is told the exit), and tells the container's end: output drained, exit record written, clients told, in
that order; then the process exits. Clients come and go as they like; the container depends on nobody.

What it has to know of its container it reads from the state record, through the directory's descriptor in ``slots``.
"""

from __future__ import annotations

import _socket
import os
import time

from conmon import entries, exitrecord, files, protocol, slots
from conmon.doze import HELLO, Doze
from conmon.errors import ConmonError, describe, report
from conmon.hub import Hub
from conmon.logfile import LogFile
from conmon.oom import OomWatch
from conmon.peer import Peer, accept
from conmon.protocol import Message
from conmon.reactor import IN, Reactor
from conmon.requests import AttachRequest, ContainerRequest, number
from conmon.stdio import Input, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a process which outlives the container's init may go on to hold the end of the output back.
DRAIN_GRACE = 0.2
#: Seconds that slow clients get to read what waits for them when the container has ended.
FLUSH_LIMIT = 10.0
#: Seconds between attempts to write the exit record where the file system is full.
RETRY = 1.0


class Monitor:
    """The state of one monitor process."""

    def __init__(self, doze: Doze, zygote_directory: str) -> None:
        """Goes on where *doze* stopped. Raises ValueError when the state record is gone: then nobody is to be told."""
        self._zygote_directory = zygote_directory
        self._state = files.read_record(f"/proc/self/fd/{slots.DIRECTORY}/{exitrecord.STATE}") or {}
        request = self._state.get("request")
        self._request = ContainerRequest(request if isinstance(request, dict) else {})
        self._pid = doze.pid
        self._reactor = Reactor(self._child)
        self._listener = _socket.socket(fileno=slots.LISTENER)
        self._hub = Hub(self._request.stdin, self._request.stdin_once)
        self._log = LogFile(slots.LOG) if self._request.log_path else None
        self._outputs = self._open_outputs()
        counted = [number(self._state, f"oom_{what}", 0) for what in ("version", "before", "parent_before")]
        self._oom = OomWatch(self._reactor, counted[0], counted[1], counted[2])
        self._ended: Message | None = None
        self._told = False
        self._after_reply: Callable[[], None] | None = None
        self._clients = [Peer(self._reactor, fd, self._packet, self._gone) for fd in doze.clients]
        self._reactor.watch(slots.LISTENER, IN, self._accept)
        self._take_over(doze)

    def _open_outputs(self) -> list[Output]:
        request, reactor, hub, log = self._request, self._reactor, self._hub, self._log
        if request.terminal:
            if request.stdin:
                hub.stdin = Input(reactor, os.dup(slots.MASTER), True, hub.resume)
            return [Output(reactor, slots.MASTER, protocol.STDOUT, log, hub.publish)]
        if request.stdin:
            hub.stdin = Input(reactor, slots.STDIN, False, hub.resume)
        streams = ((slots.STDOUT, protocol.STDOUT), (slots.STDERR, protocol.STDERR))
        return [Output(reactor, fd, kind, log, hub.publish) for fd, kind in streams]

    def _take_over(self, doze: Doze) -> None:
        """What the doze had in its hands when it woke up."""
        if self._log and doze.text:
            self._log.rest(doze.text, doze.written)
        for output in self._outputs:
            if output.fd != slots.MASTER:
                at = output.fd - slots.STDOUT
                output.resume(doze.held[at], time.monotonic() - doze.since[at], bool(doze.split >> output.fd & 1))
            if output.fd == doze.stream:
                output.feed(doze.data)
        for peer, fd in zip(list(self._clients), doze.clients, strict=True):
            if fd == doze.speaker:
                peer.receive(doze.packet)
        if doze.status >= 0:
            self._child(self._pid, doze.status)

    def run(self) -> None:
        """Serve until the container has ended and its end is told."""
        self._reactor.run()

    # --- clients ---

    def _accept(self, _events: int) -> None:
        try:
            fd = accept(self._listener)
        except OSError:
            return
        peer = Peer(self._reactor, fd, self._packet, self._gone)
        self._clients.append(peer)
        peer.send(HELLO)

    def _gone(self, peer: Peer) -> None:
        self._hub.detach(peer)
        self._clients.remove(peer)

    def _packet(self, peer: Peer, kind: int, payload: bytes) -> None:
        if kind in (protocol.STDIN, protocol.STDIN_EOF):
            self._hub.receive(peer, kind, payload)
        elif kind == protocol.REQUEST:
            reply: Message = {"seq": 0}
            try:
                message = protocol.decode_message(payload)
                reply["seq"] = number(message, "seq", 0)
                operation = self._OPS.get(str(message.get("op")))
                if operation is None:
                    raise ConmonError(f"this monitor knows no request {message.get('op')!r:.50}")
                reply.update(operation(self, peer, message))
            except (ConmonError, OSError, ValueError) as error:
                reply["error"] = describe(error)
            peer.send(protocol.encode_message(protocol.REPLY, reply))
            # At once: from the reply on, the client may rely on what it asked for.
            after, self._after_reply = self._after_reply, None
            if after and not peer.closed:
                after()

    # --- requests ---

    def _op_state(self, _peer: Peer, _message: Message) -> Message:
        return {**self._state, "running": not self._ended, "exit": self._ended if self._told else None}

    def _op_reopen(self, _peer: Peer, _message: Message) -> Message:
        if not self._log:
            raise ConmonError(f"container {self._request.id} has no log file")
        self._log.reopen(self._request.log_path)
        return {}

    def _op_resize(self, _peer: Peer, message: Message) -> Message:
        if not self._request.terminal or self._outputs[0].ended:
            raise ConmonError(f"container {self._request.id} has no terminal")
        from conmon import terminal  # loads termios: only a container with a terminal pays for it

        terminal.resize(slots.MASTER, number(message, "columns", 80), number(message, "rows", 24))
        return {}

    def _op_close_stdin(self, _peer: Peer, _message: Message) -> Message:
        if self._hub.stdin:
            self._hub.stdin.end()
        return {}

    def _op_attach(self, peer: Peer, message: Message) -> Message:
        wants = AttachRequest(message)
        self._after_reply = lambda: self._hub.attach(peer, wants)
        return {"terminal": self._request.terminal}

    def _op_ping(self, _peer: Peer, _message: Message) -> Message:
        return {"pid": os.getpid(), "major": protocol.MAJOR, "minor": protocol.MINOR}

    _OPS = {  # noqa: RUF012 - typing, with ClassVar, is beyond the import budget
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
        if pid == self._pid and not self._ended:
            self._ended = exitrecord.ended(self._request.id, pid, status)
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
        assert self._ended
        kills = self._oom.kills_in_all(number(self._ended, "signal", 0))
        self._ended.update(oom_kills=kills, oom_killed=kills > 0, log_dropped=self._log.dropped if self._log else 0)
        try:
            files.write_record(self._request.exit_path, self._ended)
        except OSError:
            report()
            self._reactor.call_later(RETRY, self._finish)
            return
        self._told = True
        files.remove(f"{self._request.directory}/{exitrecord.SOCKET}")
        files.remove(entries.path(self._zygote_directory, os.getpid(), entries.MONITOR, self._request.id))
        for peer in list(self._clients):
            peer.send(protocol.encode_message(protocol.EVENT, {"event": "exit", **self._ended}))
        self._reactor.call_later(FLUSH_LIMIT, self._reactor.stop)
        self._leave_if_flushed()

    def _leave_if_flushed(self) -> None:
        """Exit when everything is sent: that stays readable for the clients."""
        if all(peer.flushed for peer in self._clients):
            self._reactor.stop()
        else:
            self._reactor.call_later(0.05, self._leave_if_flushed)
