"""How late the server's event loop runs, idle and under churn of 8 pods at a time: `python -m tests.bench.lag`.

What blocks the loop shows here as its full length. On two cores the kernel's own scheduling shows too, since runc and
the plugins want the same processors: idle is the figure to compare with.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.bench.pods import Samples, churn, live
from tests.bench.servers import Server, criserver
from tests.support.server import PROJECT

PODS, AT_ONCE, IDLE_SECONDS = 40, 8, 3


def main() -> None:
    """Measure and print."""
    base = Path(tempfile.mkdtemp(prefix="lag-"))
    told = base / "lag.json"
    os.environ["LAG_FILE"] = str(told)
    try:
        with criserver(base, module=(str(PROJECT / "tests/support/lagging.py"),)) as server:
            live(server, Samples())
            _take(server, told)
            time.sleep(IDLE_SECONDS)
            _print("idle", _take(server, told))
            churn(server, Samples(), PODS, AT_ONCE)
            _print(f"{AT_ONCE} pods at a time", _take(server, told))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _take(server: Server, told: Path) -> list[float]:
    told.unlink(missing_ok=True)
    server.process.send_signal(signal.SIGUSR2)
    while not told.exists():
        time.sleep(0.01)
    samples: list[float] = json.loads(told.read_text())
    return sorted(samples)


def _print(what: str, samples: list[float]) -> None:
    at = {f"p{part}": samples[min(len(samples) - 1, int(len(samples) * part / 100))] for part in (50, 95, 99)}
    text = ", ".join(f"{name} {value:.2f}" for name, value in at.items())
    print(f"loop lag {what}: {text}, worst {samples[-1]:.1f} ms of {len(samples)} samples")


if __name__ == "__main__":
    main()
