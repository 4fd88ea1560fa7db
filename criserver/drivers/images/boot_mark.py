"""Whether the machine went down under a running server: a file in its root says in which boot it ran, and if it ended.

Written so that it outlives a power loss (fsync), which is what it is there to tell.
"""

from __future__ import annotations

import os

from criserver.kernel import proc
from criserver.kernel.files import write_atomic
from criserver.kernel.offload import offload

_NAME = "boot"
_RUNNING, _STOPPED = "running", "stopped"


class BootMark:
    """The mark of one server."""

    def __init__(self, root: str) -> None:
        """`root` is the server's directory; it exists."""
        self._path = os.path.join(root, _NAME)
        self._unclean = False

    async def begin(self) -> bool:
        """Mark that a server runs; whether an earlier one never stopped before the machine was started anew.

        That is said again at each start until `checked`: a server may not come to the end of its check.
        """
        return await offload(self._begin)

    async def checked(self) -> None:
        """What the machine's end may have damaged has been looked at."""
        self._unclean = False
        await offload(self._write, _RUNNING)

    async def end(self) -> None:
        """Mark that the server has stopped."""
        if not self._unclean:
            await offload(self._write, _STOPPED)

    def _begin(self) -> bool:
        boot, how = self._read()
        self._unclean = how == _RUNNING and boot != proc.boot_id()
        if not self._unclean:
            self._write(_RUNNING)
        return self._unclean

    def _read(self) -> tuple[str, str]:
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                boot, _, how = file.read(200).strip().partition(" ")
        except FileNotFoundError:
            return "", ""
        # What cannot be read was not written by a server that stopped in order.
        return boot, how if how in (_RUNNING, _STOPPED) else _RUNNING

    def _write(self, how: str) -> None:
        write_atomic(self._path, f"{proc.boot_id()} {how}\n".encode(), durable=True)
