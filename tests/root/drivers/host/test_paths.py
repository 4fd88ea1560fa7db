"""A dead mount, such as one whose server is gone, and the paths beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from criserver.drivers.host import paths as host
from criserver.drivers.host.paths import PER_MOUNT, HostDriver
from criserver.errors import DeadlineExceeded
from tests.support.silent_mount import silent_mount


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "dead"
    target.mkdir()
    with silent_mount(target):
        yield target


def helpers(path: Path) -> list[str]:
    """Processes that still look at something below `path`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"host.questions" in line and str(path).encode() in line:
            found.append(entry.name)
    return found


async def test_it_holds_up_nothing_but_itself(dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ANSWER_SECONDS", 2.0)
    driver = HostDriver()
    (tmp_path / "link").symlink_to("dead/volume")
    questions = [
        *(driver.mount_source(f"{dead}/volume{number}") for number in range(20)),
        driver.mount_source(f"{tmp_path}/link"),
        driver.check_directory(f"{dead}/logs"),
        driver.devices(str(dead)),
        driver.devices(str(tmp_path)),
        driver.profile(f"{dead}/profile.json"),
    ]
    begun = time.monotonic()
    waiting = asyncio.gather(*questions, return_exceptions=True)
    await asyncio.sleep(0.5)
    near = time.monotonic()
    for number in range(20):
        await driver.mount_source(f"{tmp_path}/near{number}")
    assert time.monotonic() - near < 1.5
    answers = await waiting
    assert time.monotonic() - begun < 10
    assert all(isinstance(answer, DeadlineExceeded) for answer in answers), answers
    assert str(answers[0]).startswith(f"host path '{dead}/volume0' on {dead} did not answer for 2 s")
    assert 0 < len(helpers(tmp_path)) <= PER_MOUNT


async def test_it_is_asked_again_once_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ANSWER_SECONDS", 0.5)
    driver, target = HostDriver(), tmp_path / "dead"
    target.mkdir()
    with silent_mount(target):
        for _ in range(2 * PER_MOUNT):
            with pytest.raises(DeadlineExceeded):
                await driver.check_directory(str(target))
    for _ in range(200):
        if not helpers(tmp_path):
            break
        await asyncio.sleep(0.05)
    assert helpers(tmp_path) == []
    await driver.check_directory(str(target))
    assert driver._asking[str(target)]._value == PER_MOUNT
