"""What a creation tells its monitor when the container is there: one packet with descriptors. Pure.

Layout: ``PID LETTERS``, the decimal pid of the container's init, a space, one letter for each descriptor in the order of
the packet's SCM_RIGHTS (small letters below), then the letters of the flags that are set (capitals). Both ends are forks of
one zygote, so the layout needs no version. Short and plain, since reading it is part of every monitor's memory.
"""

from __future__ import annotations

LISTENER, LOG, MASTER = "l", "f", "m"
STDIN, STDOUT, STDERR = "i", "o", "e"
OOM_COUNTER, OOM_EVENT = "c", "v"
#: Flags: the container has a terminal, a stdin, a stdin for the first client only.
TERMINAL, HAS_STDIN, STDIN_ONCE = "T", "S", "O"
#: Most descriptors of one packet.
MOST = 8


def encode(pid: int, terminal: bool, stdin: bool, stdin_once: bool, fds: dict[str, int]) -> bytes:
    """The packet for descriptors named by the letters in *fds*, in that order."""
    flags = (TERMINAL if terminal else "") + (HAS_STDIN if stdin else "") + (STDIN_ONCE if stdin_once else "")
    return f"{pid} {''.join(fds)}{flags}".encode()


def decode(note: bytes, fds: list[int]) -> tuple[int, dict[str, int], str]:
    """Pid, the descriptors by letter, and all letters (flags among them)."""
    pid, _, letters = note.decode().partition(" ")
    return int(pid), dict(zip(letters, fds, strict=False)), letters
