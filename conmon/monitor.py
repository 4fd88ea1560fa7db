"""One container's monitor: a fork of the zygote that keeps the container's log and terminal, and tells its end.

Life, in order: CREATING (its own fork, ``creation``, runs the runtime; this process sleeps) → RUNNING (from the handover to
the end of the container's init) → ENDING (output drained, exit record written, clients told) → the process exits, with
status 0 when nothing is left to do for the zygote. Clients come and go as they like; the container depends on nobody.

Serves ``monitor.sock`` in the container's directory; requests are those of ``Monitor._OPS``, and every client is told the
exit. Memory: one process per container, see ``zygote`` for the budget. What runs in every monitor is kept to few objects
and calls; what runs for some (requests, attach, the end) may take what it needs.
"""

from __future__ import annotations

import _socket
import os
import signal
import time

from conmon import creation, exitrecord, files, fork, handover, linux, protocol
from conmon.doze import Doze
from conmon.errors import ConmonError, describe, report
from conmon.hub import Hub
from conmon.logfile import LogFile
from conmon.oom import OomWatch
from conmon.peer import Peer, receive_fds
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

_PAIR = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC


def run(packet: bytes, requester: int, zygote_directory: str) -> None:
    """In a fork of the zygote: serve the CONTAINER *packet* that came on *requester*, to the end of the container."""
    os.setsid()
    linux.set_name("conmon")
    linux.set_child_subreaper()
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _PAIR)
    if os.fork() == 0:
        fork.run(lambda: _create(packet, requester, theirs.fileno(), zygote_directory))
    os.dup2(ours.detach(), 3, inheritable=False)
    os.closerange(4, fork.MAX_FDS)
    ours = _socket.socket(fileno=3)  # what it named before is closed
    note, fds = receive_fds(ours, 256, handover.MOST)
    ours.close()
    if note:  # else the creation has failed, said so to the client, and left nothing
        serve(packet, *handover.decode(note, fds))


def serve(packet: bytes, pid: int, fds: dict[str, int], letters: str) -> None:
    """Doze while that will do, then be a Monitor. The arguments but *packet* are ``handover.decode``'s."""
    doze = Doze()
    listener = _socket.socket(fileno=fds[handover.LISTENER])
    if handover.STDIN not in fds and handover.MASTER not in fds:
        streams = {fds[handover.STDOUT]: b" stdout F ", fds[handover.STDERR]: b" stderr F "}
        others = [fds[key] for key in (handover.OOM_COUNTER, handover.OOM_EVENT) if key in fds]
        doze.run(pid, fds.get(handover.LOG, -1), streams, listener, others, protocol.hello("monitor", os.getpid()))
    Monitor(packet, listener, doze, pid, fds, letters).run()


def _create(packet: bytes, requester: int, monitor: int, zygote_directory: str) -> None:
    linux.set_name("conmon-create")
    requester, monitor = fork.keep_only([requester, monitor])
    try:
        creation.run(packet, requester, monitor, zygote_directory)
    except Exception as error:
        text = f"creation failed: {describe(error)}"
        os.write(requester, protocol.encode_message(protocol.REPLY, {"seq": 0, "error": text}))
        raise


class Monitor:
    """The state of one monitor process whose container exists."""

    def __init__(
        self, packet: bytes, listener: _socket.socket, doze: Doze, pid: int, fds: dict[str, int], letters: str
    ) -> None:
        """*packet* is the request, read again when the container ends; *doze* is over; the rest is ``handover.decode``'s."""
        self._packet, self._pid, self._listener = packet, pid, listener
        self._reactor = reactor = Reactor(self._child)
        self._clients = [Peer(reactor, fd, self._packet_in, self._gone) for fd in doze.clients]
        self._hub = Hub(handover.HAS_STDIN in letters, handover.STDIN_ONCE in letters)
        self._log = LogFile(fds[handover.LOG]) if handover.LOG in fds else None
        self._master = fds.get(handover.MASTER, -1)
        self._outputs: list[Output] = []
        for key, kind in _STREAMS:
            if key in fds:
                self._outputs.append(Output(reactor, fds[key], kind, self._log, self._hub))
        if handover.STDIN in fds:
            self._hub.stdin = Input(reactor, fds[handover.STDIN], False, self._hub.resume)
        elif self._master >= 0 and handover.HAS_STDIN in letters:
            self._hub.stdin = Input(reactor, os.dup(self._master), True, self._hub.resume)
        self._oom = OomWatch(reactor, fds.get(handover.OOM_COUNTER, -1), fds.get(handover.OOM_EVENT, -1))
        reactor.watch(fds[handover.LISTENER], IN, self._accept)
        self._ended: Message | None = None
        self._told = False
        if self._log and doze.text:
            self._log.rest(doze.text, doze.written)
        for output in self._outputs:
            if output.fd == doze.stream:
                output.feed(doze.data)
        if doze.status >= 0:
            self._child(pid, doze.status)

    def run(self) -> None:
        """Serve until the container has ended and its end is told."""
        self._reactor.run()

    def rehearse(self) -> None:
        """Serve what is there already, then let go of every descriptor; for ``warmup``."""
        for _ in range(3):
            self._reactor.turn(0)
        for output in self._outputs:
            output.close()
        for peer in list(self._clients):
            peer.close()
        if self._log:
            self._log.close()
        self._listener.close()
        self._reactor.close()

    # --- clients ---

    def _accept(self, _events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - without a socket object
        except OSError:
            return
        peer = Peer(self._reactor, fd, self._packet_in, self._gone)
        self._clients.append(peer)
        peer.send(protocol.hello("monitor", os.getpid()))

    def _gone(self, peer: Peer) -> None:
        self._hub.detach(peer)
        self._clients.remove(peer)

    def _packet_in(self, peer: Peer, kind: int, payload: bytes) -> None:
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

    # --- requests ---

    def _request(self) -> ContainerRequest:
        """The request that made this container, from its packet: keeping the text costs less than keeping the fields."""
        return ContainerRequest(protocol.decode_message(protocol.decode(self._packet)[1]))

    def _op_state(self, _peer: Peer, _message: Message) -> Message:
        state = files.read_record(f"{self._request().directory}/{exitrecord.STATE}") or {}
        return {**state, "running": not self._ended, "exit": self._ended if self._told else None}

    def _op_reopen(self, _peer: Peer, _message: Message) -> Message:
        request = self._request()
        if not self._log:
            raise ConmonError(f"container {request.id} has no log file")
        self._log.reopen(request.log_path)
        return {}

    def _op_resize(self, _peer: Peer, message: Message) -> Message:
        if self._master < 0 or self._outputs[0].ended:
            raise ConmonError(f"container {self._request().id} has no terminal")
        from conmon import terminal  # loads termios: only a container with a terminal pays for it

        terminal.resize(self._master, number(message, "columns", 80), number(message, "rows", 24))
        return {}

    def _op_close_stdin(self, _peer: Peer, _message: Message) -> Message:
        if self._hub.stdin:
            self._hub.stdin.end()
        return {}

    def _op_attach(self, peer: Peer, message: Message) -> Message:
        wants = AttachRequest(message)
        # After the reply: the client reads that first.
        self._reactor.call_later(0, lambda: None if peer.closed else self._hub.attach(peer, wants))
        return {"terminal": self._master >= 0}

    def _op_ping(self, _peer: Peer, _message: Message) -> Message:
        return {"pid": os.getpid(), "major": protocol.MAJOR, "minor": protocol.MINOR}

    _OPS = {
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
            request = self._request()
            self._ended = exitrecord.ended(request.id, pid, status)
            self._drain(request, time.monotonic() + DRAIN_GRACE)

    def _drain(self, request: ContainerRequest, deadline: float) -> None:
        """Log all that the container wrote. A process that lives on (shared PID namespace) may hold the pipes open."""
        for output in self._outputs:
            output.drain(deadline)
        if all(output.ended for output in self._outputs) or time.monotonic() >= deadline:
            for output in self._outputs:
                output.close()
            self._finish(request)
        else:
            self._reactor.call_later(0.02, lambda: self._drain(request, deadline))

    def _finish(self, request: ContainerRequest) -> None:
        """Write the exit record, and only then tell it. Without room for it, wait: the disk is the truth."""
        assert self._ended
        kills = self._oom.kills()
        self._ended.update(oom_kills=kills, oom_killed=kills > 0, log_dropped=self._log.dropped if self._log else 0)
        try:
            files.write_record(request.exit_path, self._ended)
        except OSError:
            report()
            self._reactor.call_later(RETRY, lambda: self._finish(request))
            return
        self._told = True
        files.remove(f"{request.directory}/{exitrecord.SOCKET}")
        files.remove(request.entry)
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


_STREAMS = (
    (handover.STDOUT, protocol.STDOUT),
    (handover.STDERR, protocol.STDERR),
    (handover.MASTER, protocol.STDOUT),
)
