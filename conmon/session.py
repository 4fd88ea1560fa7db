"""One more process in a running container: a fork of the zygote that starts it, waits for it and tells its exit code.

Without a terminal the process's stdio are the descriptors that came with the request, so its data never passes through
here; with one, the pty's master goes to the client by SCM_RIGHTS. The session lives as long as its one connection: when
that ends, or asks ``kill``, the process and everything below it dies, and nothing of it stays on disk.
"""

from __future__ import annotations

import os
import signal
import time

from conmon import process, protocol, runtime
from conmon.errors import ConmonError, describe
from conmon.peer import Peer
from conmon.protocol import Message
from conmon.reactor import Reactor
from conmon.requests import ExecRequest

#: Seconds between the hangup of a terminal and SIGKILL.
HANGUP_GRACE = 0.5
#: Seconds that a client gets to take the exit event.
FLUSH_LIMIT = 5.0


class Session:
    """The state of one exec session process."""

    def __init__(self, request: ExecRequest, requester: int, stdio: list[int]) -> None:
        """*stdio*: the three descriptors of the request, none for a terminal."""
        self._request, self._stdio = request, stdio
        self._reactor = Reactor(self._child)
        self._peer = Peer(self._reactor, requester, self._packet, self._gone, linger=True)
        self._directory_fd = os.open(request.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._invocation: runtime.Invocation | None = None
        self._pid = 0
        self._killed = False
        self._statuses: dict[int, int] = {}

    def run(self, seq: int) -> None:
        """Start the process, answer request *seq* and serve until the process has ended."""
        self._seq = seq
        self._stderr = -1
        try:
            if not self._request.terminal and len(self._stdio) != 3:
                raise ConmonError(f"exec without a terminal needs 3 descriptors, {len(self._stdio)} came")
            self._start()
        except (ConmonError, OSError) as error:
            self._fail(describe(error))
        self._reactor.run()

    def _start(self) -> None:
        request = self._request
        self._invocation = runtime.Invocation(
            self._reactor, request.directory, self._directory_fd, f"exec-{request.exec_id}", request.terminal
        )
        argv = runtime.exec_argv(request.runtime, request.process, request.exec_flags, request.id)
        if request.umask is not None:
            os.umask(request.umask)  # this process is the exec's alone
        stdio = self._stdio or [os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)] * 3
        try:
            self._invocation.start(argv, "exec", (stdio[0], stdio[1], stdio[2]), request.systemd_cgroup)
        except ConmonError:
            self._invocation.close()
            raise
        finally:
            for fd in set(stdio):
                os.close(fd)

    def _child(self, pid: int, status: int) -> None:
        if self._invocation and pid == self._invocation.pid:
            self._runtime_ended(status)
        elif pid == self._pid:
            self._ended(status)
        elif not self._pid:
            self._statuses[pid] = status  # reaped before the pid file was read

    def _runtime_ended(self, status: int) -> None:
        assert self._invocation
        self._invocation.pid = 0
        try:
            self._pid = self._invocation.finish(status)
        except ConmonError as error:
            self._fail(f"{self._request.runtime[0]} exec: {error}")
            return
        reply: Message = {"seq": self._seq, "pid": self._pid, "pid_start": process.starttime(self._pid)}
        self._answer(protocol.encode_message(protocol.REPLY, reply))
        if self._killed:
            self._kill(signal.SIGKILL)
        if self._pid in self._statuses:
            self._ended(self._statuses[self._pid])

    def _answer(self, packet: bytes) -> None:
        """Reply, with the terminal's master where there is one; it is the client's alone from then on."""
        assert self._invocation
        master = self._invocation.master
        if master < 0:
            self._peer.send(packet)
            return
        from conmon import terminal as tty  # loads termios: only an exec with a terminal pays for it

        try:
            tty.prepare(master)
            if not self._peer.closed:
                self._peer.send_with_fd(packet, master)
        except OSError:
            self._peer.close()
        finally:
            os.close(master)

    def _packet(self, peer: Peer, kind: int, payload: bytes) -> None:
        if kind != protocol.REQUEST:
            return
        try:
            message = protocol.decode_message(payload)
        except protocol.ProtocolError as error:
            message = {"error": str(error)}
        reply: Message = {"seq": message.get("seq", 0)}
        if message.get("op") == "kill":
            self._kill(signal.SIGKILL)
        else:
            reply["error"] = f"this session knows no request {message.get('op')!r:.50}"
        peer.send(protocol.encode_message(protocol.REPLY, reply))

    def _gone(self, _peer: Peer) -> None:
        if self._request.terminal and self._pid:
            self._kill(signal.SIGHUP)
            self._reactor.call_later(HANGUP_GRACE, lambda: self._kill(signal.SIGKILL))
        else:
            self._kill(signal.SIGKILL)
        if not self._pid and not (self._invocation and self._invocation.pid):
            self._reactor.stop()

    def _kill(self, signum: int) -> None:
        """Signal all that this exec has started: the tree below this process, and the cgroup where one was given."""
        self._killed = True
        process.kill_tree(os.getpid(), self._request.cgroup_procs, signum)

    def _ended(self, status: int) -> None:
        if self._killed:
            self._kill(signal.SIGKILL)  # what the first one left behind, now a child of the container's init
        code, signum = process.exit_code(status)
        event: Message = {"event": "exit", "exit_code": code, "signal": signum, "finished_at": time.time_ns()}
        self._peer.send(protocol.encode_message(protocol.EVENT, event))
        self._leave_if_flushed()
        self._reactor.call_later(FLUSH_LIMIT, self._reactor.stop)

    def _leave_if_flushed(self) -> None:
        if self._peer.closed or self._peer.flushed:
            self._reactor.stop()
        else:
            self._reactor.call_later(0.02, self._leave_if_flushed)

    def _fail(self, error: str) -> None:
        """Say why there is no process; what the runtime may have started is ended."""
        process.kill_tree(os.getpid(), [])
        self._peer.send(protocol.encode_message(protocol.REPLY, {"seq": self._seq, "error": error}))
        self._reactor.stop()
