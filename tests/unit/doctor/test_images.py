from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from criserver.config.schema import Config, ImageConfig
from criserver.doctor.finding import Severity
from criserver.doctor.images import ImageFacts, judge, read

GOOD = ImageFacts(skopeo="1.9.3", policy="/p.json", registries="/r.conf")


def test_a_good_host() -> None:
    assert {each.severity for each in judge(GOOD)} == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "words", "severity"),
    [
        (replace(GOOD, skopeo="", skopeo_trouble="is not there"), "skopeo cannot be used", Severity.ERROR),
        (replace(GOOD, skopeo="1.2.2"), "skopeo 1.2.2 is old", Severity.WARNING),
        (replace(GOOD, policy_trouble="is not there"), "signature policy /p.json: is not there", Severity.ERROR),
        (replace(GOOD, registries_trouble="line 1"), "/r.conf: line 1", Severity.ERROR),
        (replace(GOOD, short_names=False), "no unqualified-search-registries", Severity.NOTE),
        (replace(GOOD, auth_trouble="cannot be read: x"), "image.auth_file: cannot be read: x", Severity.ERROR),
    ],
)
def test_what_is_said(facts: ImageFacts, words: str, severity: Severity) -> None:
    assert [each.severity for each in judge(facts) if words in each.what] == [severity]


async def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text("{")
    (tmp_path / "r.conf").write_text('unqualified-search-registries = ["docker.io"]\n')
    section = ImageConfig(
        skopeo="/bin/false", policy=f"{tmp_path}/policy.json", registries_conf=f"{tmp_path}/r.conf",
        auth_file=f"{tmp_path}/none.json",
    )  # fmt: skip
    facts = await read(Config(image=section))
    assert facts.policy_trouble.startswith("cannot be read")
    assert facts.short_names
    assert facts.registries_trouble == ""
    assert facts.auth_trouble == "is not there"
    assert "exit status 1" in facts.skopeo_trouble
    (tmp_path / "r.conf").write_text("registries = [")
    assert (await read(Config(image=section))).registries_trouble
