"""The master side of a container's pseudo terminal. Loaded only where there is one, since termios costs memory."""

from __future__ import annotations

import termios

MAX_SIZE = 65535


def prepare(master: int) -> None:
    """Let newline go out as carriage return and newline, as terminals expect (termios(3), ONLCR)."""
    attributes = termios.tcgetattr(master)
    attributes[1] |= termios.OPOST | termios.ONLCR
    termios.tcsetattr(master, termios.TCSANOW, attributes)


def resize(master: int, columns: int, rows: int) -> None:
    """Set the window size, each side clamped to 1…65535 (ioctl_tty(2)); the container's foreground gets SIGWINCH."""
    termios.tcsetwinsize(master, (max(1, min(rows, MAX_SIZE)), max(1, min(columns, MAX_SIZE))))
