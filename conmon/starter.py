"""Finds the zygote of a directory, or starts one. The only place of the package that starts a Python interpreter.

Safe against races: a lock file in the directory lets one starter at a time look and start.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import conmon
from conmon import protocol
from conmon.errors import ConmonError
from conmon.runtime import ENVIRONMENT
from conmon.zygote import SOCKET

LOCK = "zygote.lock"
LOG = "zygote.log"
#: Seconds that a zygote may take to say hello before it is taken for dead.
HELLO_LIMIT = 2.0
START_LIMIT = 60.0

#: For what every fork would write otherwise, page by page: symbols that the linker binds at their first use, and
#: freed memory that the C library keeps apart for each size, so that it never grows together again.
_ENVIRONMENT = {**ENVIRONMENT, "LD_BIND_NOW": "1", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
_BOOTSTRAP = "import sys; sys.path.insert(0, sys.argv[1]); from conmon.zygote import main; main()"


def ensure_zygote(
    directory: str | Path, *, python: str = sys.executable, cgroup_procs: Sequence[str | Path] = ()
) -> int:
    """The pid of the zygote that serves *directory*, started if there is none; takes a few ms, or a few dozen to start.

    *directory* is made 0700. *cgroup_procs*: files into which a new zygote writes its pid, so that it is not in the
    caller's cgroup. Its stderr goes to zygote.log in *directory*. Raises ConmonError with the zygote's own words.
    """
    directory = Path(directory).absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if pid := probe(directory):
        return pid
    with open(directory / LOCK, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if pid := probe(directory):
            return pid
        _start(directory, python, [str(path) for path in cgroup_procs])
    if pid := probe(directory):
        return pid
    raise ConmonError(f"the zygote in {directory} started but does not answer; see {directory / LOG}")


def probe(directory: Path) -> int:
    """The pid of the zygote that answers in *directory*; 0 when none does."""
    try:
        with connect(directory, SOCKET) as sock:
            sock.settimeout(HELLO_LIMIT)
            kind, payload = protocol.decode(sock.recv(protocol.MAX_PACKET))
            pid = protocol.decode_message(payload).get("pid") if kind == protocol.EVENT else None
            return pid if isinstance(pid, int) else 0
    except (OSError, protocol.ProtocolError):
        return 0


def connect(directory: str | Path, name: str) -> socket.socket:
    """A non-blocking connection to socket *name* in *directory*, which may be longer than sun_path allows. Raises
    OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{fd}/{name}")
        finally:
            os.close(fd)
    except OSError:
        sock.close()
        raise
    return sock


def _start(directory: Path, python: str, cgroup_procs: list[str]) -> None:
    """Run the bootstrap process; it exits when the zygote, its child, listens."""
    root = str(Path(conmon.__file__).resolve().parent.parent)
    argv = [python, "-I", "-S", "-OO", "-X", "no_debug_ranges", "-c", _BOOTSTRAP, root, str(directory), *cgroup_procs]
    with open(directory / LOG, "ab") as log:
        try:
            bootstrap = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=_ENVIRONMENT,
                cwd="/",
                timeout=START_LIMIT,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConmonError(f"cannot start the zygote with {python}: {error}") from None
    if bootstrap.returncode:
        last = (directory / LOG).read_bytes()[-500:].decode(errors="replace").strip()
        raise ConmonError(f"the zygote in {directory} did not start (exit {bootstrap.returncode}): {last}")
