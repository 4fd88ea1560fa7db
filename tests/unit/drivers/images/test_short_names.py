"""Short names mean what registries.conf and its drop-ins say; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.images.short_names import ShortNames
from criserver.errors import InvalidArgument


@pytest.fixture
def names(tmp_path: Path) -> ShortNames:
    (tmp_path / "registries.conf").write_text('[aliases]\n"app" = "reg.example/team/app"\n"old" = "reg.example/old"\n')
    (tmp_path / "conf.d").mkdir()
    return ShortNames(str(tmp_path / "registries.conf"), str(tmp_path / "conf.d"))


def drop_in(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "conf.d" / name).write_text(text)


DIGEST = "sha256:" + "a" * 64


def test_without_rules_it_is_as_written(tmp_path: Path) -> None:
    assert ShortNames(str(tmp_path / "none"), str(tmp_path)).one("busybox:1") == "busybox:1"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("app", "reg.example/team/app"),
        ("app:1.2", "reg.example/team/app:1.2"),
        (f"app@{DIGEST}", f"reg.example/team/app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"reg.example/team/app:1@{DIGEST}"),
        ("team/app", "team/app"),
        ("localhost/app", "localhost/app"),
        ("reg.example:5000/app", "reg.example:5000/app"),
    ],
)
def test_aliases(names: ShortNames, text: str, full: str) -> None:
    assert names.one(text) == full


async def test_drop_ins_in_order_and_read_anew(names: ShortNames, tmp_path: Path) -> None:
    drop_in(tmp_path, "20.conf", '[aliases]\n"app" = "second.example/app"\n')
    search = 'unqualified-search-registries = ["one.example"]\n'
    drop_in(tmp_path, "10.conf", f'{search}[aliases]\n"app" = "first.example/app"\n"old" = ""\n')
    drop_in(tmp_path, "notes.txt", "ignored")
    assert names.one("app") == "reg.example/team/app"
    await names.refresh()
    assert (names.one("app"), names.one("old:1")) == ("second.example/app", "one.example/old:1")
    assert names.one("team/tool") == "one.example/team/tool"


async def test_of_several_registries_none_is_guessed(names: ShortNames, tmp_path: Path) -> None:
    drop_in(tmp_path, "a.conf", 'unqualified-search-registries = ["one.example", "two.example"]\n')
    await names.refresh()
    assert names.candidates("tool:1") == ("one.example/tool:1", "two.example/tool:1")
    with pytest.raises(InvalidArgument, match=r"ambiguous, it may be one\.example/tool:1, two\.example/tool:1"):
        names.one("tool:1")
    assert names.one("app") == "reg.example/team/app"


async def test_a_file_that_cannot_be_read_is_told_and_passed_over(
    names: ShortNames, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drop_in(tmp_path, "bad.conf", "not toml")
    await names.refresh()
    assert "bad.conf cannot be read" in caplog.text
    assert names.one("app") == "reg.example/team/app"
