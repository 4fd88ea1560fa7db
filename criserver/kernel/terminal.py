"""The master side of a pseudo terminal (ioctl_tty(2))."""

from __future__ import annotations

import termios

_MAX_SIDE = 65535


def resize(master: int, columns: int, rows: int) -> None:
    """Set the window size, each side clamped to 1…65535; the foreground process group gets SIGWINCH."""
    termios.tcsetwinsize(master, (max(1, min(rows, _MAX_SIDE)), max(1, min(columns, _MAX_SIDE))))
