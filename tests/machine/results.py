"""What `make test-vm` has seen so far: a line of JSON for each file and driver, in a file for each commit.

What may live here: how outcomes are kept and shown. Not how tests are run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.support.outcomes import Outcome


@dataclass(frozen=True)
class Results:
    """The results of one commit on one release of Debian; every run adds to them."""

    path: Path

    def add(self, driver: str, outcome: Outcome, *, partly: bool) -> None:
        """Keep an outcome; `partly`: some tests of the file were not asked for."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        when = time.strftime("%FT%TZ", time.gmtime())
        with open(self.path, "a") as file:
            print(json.dumps({"driver": driver, "partly": partly, "when": when, **asdict(outcome)}), file=file)

    def latest(self, driver: str) -> dict[str, Outcome]:
        """How each file went the last time that the whole of it ran."""
        return {outcome.file: outcome for outcome in self._lines(driver)}

    def passed(self, driver: str) -> set[str]:
        """The files that need not run again."""
        return {file for file, outcome in self.latest(driver).items() if not outcome.failed}

    def _lines(self, driver: str) -> Iterator[Outcome]:
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            entry = json.loads(line)
            if entry.pop("driver") == driver and not entry.pop("partly"):
                entry.pop("when")
                yield Outcome(**entry)


def table(outcomes: dict[str, Outcome]) -> str:
    """Files with their counts and seconds, then what failed, then why tests were skipped."""
    whole = Outcome("in all")
    lines = [f"{'passed':>7}{'failed':>7}{'skipped':>8}{'seconds':>8}"]
    for outcome in outcomes.values():
        skipped = {reason: whole.skipped.get(reason, 0) + number for reason, number in outcome.skipped.items()}
        whole = replace(
            whole,
            passed=whole.passed + outcome.passed,
            failed=whole.failed + outcome.failed,
            skipped={**whole.skipped, **skipped},
            seconds=whole.seconds + outcome.seconds,
        )
    for each in (*outcomes.values(), whole):
        counts = f"{each.passed:7}{len(each.failed):7}{sum(each.skipped.values()):8}{each.seconds:8.0f}"
        lines.append(f"{counts}  {each.file}")
    lines += [f"failed: {name}" for name in whole.failed]
    lines += [f"skipped: {number} × {reason}" for reason, number in whole.skipped.items()]
    return "\n".join(lines)
