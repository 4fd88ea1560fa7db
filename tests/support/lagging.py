"""criserver, measuring how late its event loop runs: `lagging.py serve ...`.

A task asks to be woken every millisecond or so; how much later it is woken is the loop's lag. On SIGUSR2 the samples
(in milliseconds) since the last time go to the file LAG_FILE as a JSON list.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from criserver import app
from criserver.cli.main import main

PERIOD = 0.001
FILE = Path(os.environ["LAG_FILE"])
listen = app._listen
samples: list[float] = []
sampling: list[asyncio.Task[None]] = []


async def sample() -> None:
    """For ever."""
    while True:
        due = time.perf_counter() + PERIOD
        await asyncio.sleep(PERIOD)
        samples.append((time.perf_counter() - due) * 1000)


def tell() -> None:
    """Write and forget the samples; renamed into place, so that a reader finds all of them."""
    temporary = FILE.with_suffix(".new")
    temporary.write_text(json.dumps(samples))
    samples.clear()
    temporary.rename(FILE)


async def watched(*arguments: Any) -> Any:
    """The socket opens: sampling begins."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, tell)
    sampling.append(loop.create_task(sample()))
    return await listen(*arguments)


if __name__ == "__main__":
    app._listen = watched  # type: ignore[assignment]
    sys.exit(main())
