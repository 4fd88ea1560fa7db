from __future__ import annotations

from dataclasses import replace

import pytest

from criserver.doctor.finding import Severity
from criserver.doctor.security import SecurityFacts, judge

GOOD = SecurityFacts(
    root=True, lacking=(), seccomp=True, profile="/usr/share/containers/seccomp.json", apparmor=True,
    apparmor_parser=True, selinux="", container_policy=False,
)  # fmt: skip


def test_a_good_host() -> None:
    assert {each.severity for each in judge(GOOD)} == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "words", "severity"),
    [
        (replace(GOOD, root=False, lacking=("CAP_SYS_ADMIN",)), "does not run as root", Severity.ERROR),
        (replace(GOOD, lacking=("CAP_SYS_RESOURCE",)), "capabilities are missing: CAP_SYS_RESOURCE", Severity.NOTE),
        (replace(GOOD, seccomp=False), "no seccomp", Severity.ERROR),
        (replace(GOOD, profile=""), "no seccomp profile is installed", Severity.NOTE),
        (replace(GOOD, apparmor_parser=False), "apparmor_parser is missing", Severity.WARNING),
        (replace(GOOD, selinux="enforcing"), "SELinux is enforcing without a policy", Severity.WARNING),
        (replace(GOOD, apparmor=False), "neither AppArmor nor SELinux", Severity.NOTE),
    ],
)
def test_what_is_said(facts: SecurityFacts, words: str, severity: Severity) -> None:
    assert [each.severity for each in judge(facts) if words in each.what] == [severity]


def test_selinux_with_its_policy() -> None:
    facts = replace(GOOD, apparmor=False, selinux="enforcing", container_policy=True)
    assert [each.what for each in judge(facts)][-1] == "SELinux is enforcing"
