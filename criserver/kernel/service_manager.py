"""What the service manager is told: sd_notify(3), the protocol of a unit with Type=notify and a watchdog.

Datagrams to $NOTIFY_SOCKET. Without that variable nobody listens and nothing is sent.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """The manager that started this process, if one did."""

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """`address` is a path, or "@" and an abstract name; `watchdog` is how long it waits for a sign of life (s)."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog

    @property
    def watchdog(self) -> float | None:
        """Seconds after which a silent server is killed and started anew; None: the manager does not watch."""
        return self._watchdog if self._address else None

    def ready(self, status: str) -> None:
        """The server serves; `status` is the line that systemctl shows."""
        self._tell(f"READY=1\nSTATUS={_line(status)}")

    def alive(self) -> None:
        """The watchdog's sign of life."""
        self._tell("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Another line for systemctl."""
        self._tell(f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """The server has begun to stop."""
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as end:
                end.sendto(message.encode(), self._address)
        except OSError as error:
            # A server that cannot tell is still a server; the manager's own time limit decides what comes of it.
            log.warning("the service manager cannot be told %r: %s", message.split("\n", maxsplit=1)[0], error)


def from_environment(environment: Mapping[str, str] | None = None) -> ServiceManager:
    """The manager that the environment names, for this process.

    $WATCHDOG_USEC is meant for the process in $WATCHDOG_PID alone, where that is set (sd_watchdog_enabled(3)).
    """
    found = os.environ if environment is None else environment
    address = found.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return ServiceManager()
    mine = found.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = found.get("WATCHDOG_USEC", "")
    watched = mine and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
    return ServiceManager(address, int(microseconds) / 1e6 if watched else None)


def _line(text: str) -> str:
    return text.replace("\n", " ")
