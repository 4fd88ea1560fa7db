"""The clock: certificates, tokens and the order of events count on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, error, note, ok
from criserver.errors import CriError
from criserver.kernel import process

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)  # older than this program: the clock was never set


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Seconds since 1970, and whether systemd says that the clock is kept right (None: nobody to ask)."""

    now: float
    synchronized: bool | None = None


async def read(_: Config) -> ClockFacts:
    """Look at the clock, and ask timedatectl(1)."""
    try:
        done = await process.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], timeout=10)
        answer = done.stdout.strip() if done.returncode == 0 else b""
    except CriError:
        answer = b""
    return ClockFacts(time.time(), {b"yes": True, b"no": False}.get(answer))


def judge(facts: ClockFacts) -> Iterator[Finding]:
    """Findings about the clock."""
    now = datetime.fromtimestamp(facts.now, UTC)
    if now < EARLIEST:
        yield error(
            f"the clock says {now:%Y-%m-%d %H:%M}", "registries' certificates are taken for not yet valid",
            "timedatectl set-ntp true, or date --set=…",
        )  # fmt: skip
    elif facts.synchronized is False:
        yield note(
            "nothing keeps the clock right", "log times of nodes differ; tokens and certificates may be refused",
            "apt install systemd-timesyncd; timedatectl set-ntp true",
        )  # fmt: skip
    else:
        yield ok(f"the clock says {now:%Y-%m-%d %H:%M} UTC" + (", kept right by NTP" if facts.synchronized else ""))
