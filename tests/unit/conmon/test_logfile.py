"""The log file: what may be opened, what a full disk does, and reopening."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from conmon.errors import ConmonError
from conmon.logfile import IOV_MAX, LogFile, open_log


@contextlib.contextmanager
def size_limit() -> Iterator[None]:
    """Files of this process end at 100 bytes: a full disk that needs no mount (EFBIG; SIGXFSZ is ignored by Python).

    For the block alone: what the tests print may go to a file as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_made_with_its_mode_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    old = os.umask(0o022)
    try:
        fd, created = open_log(str(path))
    finally:
        os.umask(old)
    assert created and path.stat().st_mode & 0o777 == 0o640
    log = LogFile(fd)
    log.write([b"a", b"b\n"])
    log.close()
    fd, created = open_log(str(path))
    assert not created
    log = LogFile(fd)
    log.write([b"c\n"])
    log.close()
    assert path.read_bytes() == b"ab\nc\n"


def test_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    log = LogFile(open_log(str(tmp_path / "log"))[0])
    log.write([b"%d\n" % number for number in range(2 * IOV_MAX + 3)])
    log.close()
    assert (tmp_path / "log").read_bytes() == b"".join(b"%d\n" % number for number in range(2 * IOV_MAX + 3))


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/tmp/x"), os.mkfifo, Path.mkdir])
def test_only_regular_files(tmp_path: Path, make: object) -> None:
    path = tmp_path / "log"
    make(path)  # type: ignore[operator]
    with pytest.raises(ConmonError, match=f"cannot open log file {path}"):
        open_log(str(path))


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConmonError, match=r"/no/log: No such file or directory"):
        open_log(str(tmp_path / "no/log"))


def test_full_disk_drops_whole_lines_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(open_log(str(path))[0])
    with size_limit():
        for _ in range(5):
            log.write([b"0123456789" * 3, b"\n"])
    assert path.read_bytes() == (b"0123456789" * 3 + b"\n") * 3
    assert log.dropped == 2 * 31
    os.truncate(path, 0)
    log.write([b"again\n"])
    log.close()
    assert path.read_bytes() == b"again\n"


def test_reopen_follows_the_name_and_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(open_log(str(path))[0])
    log.write([b"1\n"])
    path.rename(tmp_path / "log.1")
    log.reopen(str(path))
    log.write([b"2\n"])
    with pytest.raises(ConmonError):
        log.reopen(str(tmp_path / "no/log"))
    log.write([b"3\n"])
    log.close()
    assert (tmp_path / "log.1").read_bytes() == b"1\n"
    assert path.read_bytes() == b"2\n3\n"
