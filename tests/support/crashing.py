"""criserver, but it can be told to die by SIGKILL at its Nth commit from now: `crashing.py serve ...`.

SIGUSR2 arms it with the JSON in the file that CRASH_FILE names: {"at": N, "when": "before" or "after"}. "before" kills
it when the commit is about to be made, "after" as soon as it is made; at 0 never. From then on every commit adds a byte
to the file CRASH_FILE.count: how a test learns how many there are.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from criserver import app
from criserver.cli.main import main
from criserver.state.db import Database

FILE = Path(os.environ["CRASH_FILE"])
COUNT = FILE.with_name(FILE.name + ".count")
commit, listen = Database._commit, app._listen


class Bomb:
    """Counts commits since it was armed."""

    def __init__(self) -> None:
        self.at, self.when, self.made = 0, "after", 0

    def arm(self) -> None:
        """Read what to do, and say that it was read by emptying the count."""
        told = json.loads(FILE.read_text())
        self.at, self.when, self.made = told["at"], told["when"], 0
        COUNT.write_bytes(b"")

    def tick(self, when: str) -> None:
        """Die if this is the moment."""
        if self.made == self.at and self.when == when:
            os.kill(os.getpid(), signal.SIGKILL)


bomb = Bomb()


def counted(*arguments: Any) -> Any:
    """A commit of the database."""
    bomb.made += 1
    bomb.tick("before")
    result = commit(*arguments)
    if COUNT.exists():
        with COUNT.open("ab") as file:
            file.write(b".")
    bomb.tick("after")
    return result


async def armed(*arguments: Any) -> Any:
    """The socket opens: from here on the signal is heard."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, bomb.arm)
    return await listen(*arguments)


if __name__ == "__main__":
    Database._commit = counted  # type: ignore[method-assign, assignment]
    app._listen = armed  # type: ignore[assignment]
    sys.exit(main())
