"""An unclean boot is one that a running server did not see the end of."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.images.boot_mark import BootMark
from criserver.kernel import proc


def another_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "boot_id", lambda: "00000000-0000-0000-0000-000000000000")


async def test_the_first_start_and_starts_in_the_same_boot(tmp_path: Path) -> None:
    for _ in range(3):  # the second and third after a kill -9
        assert await BootMark(str(tmp_path)).begin() is False


async def test_the_machine_went_down_under_a_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await BootMark(str(tmp_path)).begin()
    another_boot(monkeypatch)
    mark = BootMark(str(tmp_path))
    assert await mark.begin() is True
    await mark.end()
    mark = BootMark(str(tmp_path))
    assert await mark.begin() is True, "said until it was looked at what that has damaged"
    await mark.checked()
    assert await BootMark(str(tmp_path)).begin() is False


async def test_a_clean_stop_before_the_machine_went_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = BootMark(str(tmp_path))
    await mark.begin()
    await mark.end()
    another_boot(monkeypatch)
    assert await BootMark(str(tmp_path)).begin() is False


async def test_a_start_takes_an_earlier_stops_mark_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = BootMark(str(tmp_path))
    await mark.begin()
    await mark.end()
    await BootMark(str(tmp_path)).begin()
    another_boot(monkeypatch)
    assert await BootMark(str(tmp_path)).begin() is True


@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage", b"x" * 10_000])
async def test_a_mark_that_cannot_be_read_is_no_clean_stop(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boot").write_bytes(content)
    assert await BootMark(str(tmp_path)).begin() is True
