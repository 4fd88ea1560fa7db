"""The clock tells nanoseconds since the epoch."""

from __future__ import annotations

import time

from criserver.drivers.host.clock import SystemClock
from criserver.ports.clock import Clock


def test_now() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns()
    assert before <= clock.now() <= time.time_ns()
