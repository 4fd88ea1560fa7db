"""A pytest plugin (`-p tests.support.outcomes`) that tells how each file went, in one line, as soon as it is through.

What reads these lines keeps what is known of a run that is cut off, or that dies of one of its files. Standard library
only, but for pytest itself: tests.machine reads them on a host that may have no pytest.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

MARK = "outcome: "
"""What such a line begins with; the rest is JSON."""


@dataclass
class Outcome:
    """How the tests of one file went; `failed` are names, `skipped` are reasons with their number."""

    file: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0

    def line(self) -> str:
        """As it is told."""
        return MARK + json.dumps(asdict(self))


def told(line: str) -> Outcome | None:
    """What `line` tells, if it is one of these."""
    return Outcome(**json.loads(line.removeprefix(MARK))) if line.startswith(MARK) else None


class Teller:
    """Counts reports and tells of a file after the last of its tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, Outcome] = {}
        self._left: Counter[str] = Counter()

    def _of(self, nodeid: str) -> Outcome:
        file = nodeid.partition("::")[0]
        return self._outcomes.setdefault(file, Outcome(file, seconds=time.monotonic()))

    def _tell(self, outcome: Outcome) -> None:
        outcome.seconds = round(time.monotonic() - outcome.seconds, 1)
        self._config.get_terminal_writer().write(f"\n{outcome.line()}\n", flush=True)  # before what may kill it

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot even be read, or that skips itself as a whole."""
        if report.failed or report.skipped:
            outcome = self._of(report.nodeid)
            self._count(report, outcome)
            self._tell(outcome)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """What will run."""
        self._left.update(item.nodeid.partition("::")[0] for item in session.items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The first of a file starts its clock."""
        self._of(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has three: a failure may be of its setup or teardown."""
        outcome = self._of(report.nodeid)
        self._count(report, outcome)
        outcome.passed += report.passed and report.when == "call"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """The last of a file has torn down what the whole of it used."""
        outcome = self._of(nodeid)
        self._left[outcome.file] -= 1
        if not self._left[outcome.file]:
            self._tell(outcome)

    @staticmethod
    def _count(report: pytest.CollectReport | pytest.TestReport, outcome: Outcome) -> None:
        if report.failed and report.nodeid not in outcome.failed:
            outcome.failed.append(report.nodeid)
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"
            reason = reason.removeprefix("Skipped: ")
            outcome.skipped[reason] = outcome.skipped.get(reason, 0) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest."""
    config.pluginmanager.register(Teller(config))
