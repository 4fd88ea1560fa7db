from __future__ import annotations

import pytest

from criserver.doctor.finding import Finding, Severity
from criserver.doctor.runtimes import Handlers, RuntimeFacts, judge, parse_version

RUNC = RuntimeFacts("runc", "runc", "/usr/sbin/runc", "1.2.6")
CRUN = RuntimeFacts("crun", "crun", "/usr/bin/crun", "1.21")
NO_RUNC = RuntimeFacts("runc", "runc", "", trouble="program runc is not there")
NO_CRUN = RuntimeFacts("crun", "crun", "", trouble="program crun is not there")


def bad(default: str, *handlers: RuntimeFacts) -> list[Finding]:
    return [each for each in judge(Handlers(default, handlers)) if each.severity is not Severity.OK]


def test_both_are_there() -> None:
    assert bad("auto", RUNC, CRUN) == []


@pytest.mark.parametrize("default", ["auto", "runc"])
def test_none_is_there(default: str) -> None:
    found = bad(default, NO_RUNC, NO_CRUN)
    assert {each.severity for each in found} == {Severity.ERROR}
    assert found[0].fix.startswith("apt install runc")


def test_the_default_is_missing() -> None:
    assert [each.severity for each in bad("runc", NO_RUNC, CRUN)] == [Severity.ERROR]


def test_another_than_the_default_is_missing() -> None:
    assert [each.severity for each in bad("runc", RUNC, NO_CRUN)] == [Severity.NOTE]
    assert [each.severity for each in bad("auto", NO_RUNC, CRUN)] == [Severity.NOTE]


def test_an_old_version() -> None:
    old = RuntimeFacts("runc", "runc", "/opt/runc", "1.0.0-rc92")
    assert [each.severity for each in bad("runc", old)] == [Severity.WARNING]


def test_one_without_idmapped_mounts() -> None:
    found = bad("runc", RuntimeFacts("runc", "runc", "/usr/sbin/runc", "1.1.5+ds1"))
    assert "hostUsers: false" in found[0].meaning


@pytest.mark.parametrize(
    ("version", "told"), [("1.1.5+ds1", True), ("1.1.13", True), ("1.1.14", False), ("1.2", False)]
)
def test_one_that_follows_swapped_links_cve_2024_45310(version: str, told: bool) -> None:
    found = bad("runc", RuntimeFacts("runc", "runc", "/usr/sbin/runc", version))
    assert any("CVE-2024-45310" in each.what for each in found) == told
    other = bad("crun", RuntimeFacts("crun", "crun", "/usr/bin/crun", "1.1.5"))
    assert not [each for each in other if "CVE-2024-45310" in each.what]


@pytest.mark.parametrize(
    ("text", "expected"), [("1.1.5+ds1", (1, 1, 5)), ("1.8.1", (1, 8, 1)), ("1.0.0-rc92", (1, 0, 0)), ("", ())]
)
def test_parse_version(text: str, expected: tuple[int, ...]) -> None:
    assert parse_version(text) == expected
