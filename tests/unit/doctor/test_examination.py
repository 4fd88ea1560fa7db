from __future__ import annotations

import pytest

from criserver.config.schema import Config
from criserver.doctor import examination
from criserver.doctor.examination import examine
from criserver.doctor.finding import Severity
from criserver.errors import Unavailable


async def test_every_topic_is_looked_at(tmp_path: object) -> None:
    topics = await examine(Config(root=f"{tmp_path}/root", state=f"{tmp_path}/state"))
    assert [topic.name for topic in topics] == [part.name for part in examination._PARTS]
    assert all(topic.findings for topic in topics), "even when all is well, it is said"
    for finding in (each for topic in topics for each in topic.findings):
        assert finding.what
        assert finding.meaning or finding.severity is Severity.OK
        assert finding.fix or finding.severity in (Severity.OK, Severity.NOTE)


async def test_a_topic_that_cannot_be_looked_at_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: Config) -> None:
        raise Unavailable("no such program")

    broken = examination._Part("broken", fails, lambda _: ())
    monkeypatch.setattr(examination, "_PARTS", (broken, examination._PARTS[3]))
    topics = await examine(Config())
    assert "no such program" in topics[0].findings[0].what
    assert topics[1].name == "sysctls"
