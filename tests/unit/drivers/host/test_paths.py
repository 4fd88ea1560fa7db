"""The host's files as containers meet them, with everything in the way that an image or a request can put there."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from criserver.drivers.host import paths as host
from criserver.drivers.host import questions
from criserver.drivers.host.paths import HostDriver
from criserver.errors import DeadlineExceeded, InvalidArgument


@pytest.fixture
def driver() -> HostDriver:
    return HostDriver()


async def test_a_file_of_an_image(driver: HostDriver, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_bytes(b"root:x:0:0:r\xf6\xf6t:/root:/bin/sh\n")
    (tmp_path / "etc/group").symlink_to("/etc/passwd")
    assert await driver.read_in_root(str(tmp_path), "/etc/passwd", 100) == "root:x:0:0:r��t:/root:/bin/sh\n"
    assert (await driver.read_in_root(str(tmp_path), "/etc/group", 100)).startswith("root:x:0:0:r"), "the image's own"
    assert await driver.read_in_root(str(tmp_path), "/etc/shadow", 100) == ""


async def test_odd_files_of_an_image(driver: HostDriver, tmp_path: Path) -> None:
    # CVE-2026-47262: a file that fills memory; a fifo that never ends.
    (tmp_path / "large").write_bytes(b"x" * 101)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "round").symlink_to("round")
    for name, words in (("large", "larger than 100 bytes"), ("fifo", "not a regular file"), ("round", "symbolic")):
        with pytest.raises(InvalidArgument, match=rf"image: its /{name} cannot be used: .*{words}"):
            await driver.read_in_root(str(tmp_path), f"/{name}", 100)


async def test_a_mount_source_is_followed_and_made_when_missing(driver: HostDriver, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert (await driver.mount_source(f"{tmp_path}/link")).path == f"{tmp_path}/file"
    (tmp_path / "dangling").symlink_to("made/below")
    assert (await driver.mount_source(f"{tmp_path}/dangling")).path == f"{tmp_path}/made/below"
    assert (tmp_path / "made/below").is_dir()


async def test_a_mount_source_below_a_file(driver: HostDriver, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match=r"file/below' cannot be used: Not a directory"):
        await driver.mount_source(f"{tmp_path}/file/below")


async def test_the_directory_of_a_log(driver: HostDriver, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(".")
    await driver.check_directory(str(tmp_path))
    await driver.check_directory(f"{tmp_path}/link")
    with pytest.raises(InvalidArgument, match="does not exist: make it before"):
        await driver.check_directory(f"{tmp_path}/missing")
    with pytest.raises(InvalidArgument, match="is no directory"):
        await driver.check_directory(f"{tmp_path}/file")


async def test_devices(driver: HostDriver, tmp_path: Path) -> None:
    (null,) = await driver.devices("/dev/null")
    assert (null.type, null.major, null.minor) == ("c", 1, 3)
    with pytest.raises(InvalidArgument, match="is no device and has none in it"):
        await driver.devices(str(tmp_path))
    with pytest.raises(InvalidArgument, match="No such file"):
        await driver.devices(f"{tmp_path}/missing")


async def test_a_seccomp_profile(driver: HostDriver, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    assert await driver.profile(str(path)) == {"defaultAction": "SCMP_ACT_ERRNO"}
    for text, words in (("{", "is not JSON"), ("[]", "is not a JSON object"), (b"\xff\xfe{".hex(), "is not JSON")):
        path.write_text(text)
        with pytest.raises(InvalidArgument, match=words):
            await driver.profile(str(path))


@pytest.mark.parametrize(
    ("kind", "words"), [("missing", "No such file"), ("fifo", "not a regular"), ("large", "larger")]
)
async def test_what_is_no_seccomp_profile(driver: HostDriver, tmp_path: Path, kind: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(questions.PROFILE_LIMIT + 1)
    with pytest.raises(InvalidArgument, match=words):
        await driver.profile(f"{tmp_path}/{kind}")


async def test_a_path_that_never_answers(driver: HostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def mode(path: str) -> int:
        if path.startswith("/mnt/dead"):
            answer.wait(60)
        return os.stat("/").st_mode

    monkeypatch.setattr(questions, "mode", mode)
    monkeypatch.setattr(host, "ANSWER_SECONDS", 0.05)
    try:
        with pytest.raises(DeadlineExceeded, match="/mnt/dead/logs' did not answer"):
            await driver.check_directory("/mnt/dead/logs")
        monkeypatch.setattr(host, "ANSWER_SECONDS", 30)
        await asyncio.wait_for(driver.check_directory("/var/log/pods"), 30)
    finally:
        answer.set()


async def test_a_process_finds_what_a_thread_finds(
    driver: HostDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profile.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')

    async def everything() -> list[object]:
        with pytest.raises(InvalidArgument) as missing:
            await driver.devices(f"{tmp_path}/missing")
        with pytest.raises(InvalidArgument) as directory:
            await driver.profile(str(tmp_path))
        await driver.check_directory(str(tmp_path))
        return [
            await driver.mount_source(f"{tmp_path}/made"),
            await driver.devices("/dev/null"),
            await driver.profile(f"{tmp_path}/profile.json"),
            str(missing.value),
            str(directory.value),
        ]

    in_threads = await everything()
    monkeypatch.setattr(host, "far", lambda *_, **__: "/")
    assert await everything() == in_threads


async def test_a_root_whose_dev_proc_or_sys_leads_elsewhere(driver: HostDriver, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    await driver.check_root(str(root))
    for name, target in {"proc": "dev", "sys": "/nowhere"}.items():
        (root / name).symlink_to(target)
        with pytest.raises(InvalidArgument, match=f"image: its /{name} is no directory"):
            await driver.check_root(str(root))
        (root / name).unlink()
