"""The wrappers name the call and the path in their errors, and the spawner's descriptors are as asked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from criserver.kernel import libc


def test_errors_name_call_and_paths(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(OSError, match="mount: ") as mounted:
        libc.mount("source", missing, "tmpfs", 0, "")
    assert (mounted.value.filename, mounted.value.filename2) == (missing, "source")
    with pytest.raises(OSError, match="umount2: ") as unmounted:
        libc.umount2(missing, 0)
    assert unmounted.value.filename == missing
    with pytest.raises(OSError, match="openat2: ") as opened:
        libc.openat2(-100, missing, os.O_RDONLY, 0)
    assert (opened.value.errno, opened.value.filename) == (errno.ENOENT, missing)
    with pytest.raises(OSError, match="setns: "):
        libc.setns(-1, 0)
    with pytest.raises(OSError, match="unshare: "):
        libc.unshare(-1)


def test_openat2_is_close_on_exec(tmp_path: Path) -> None:
    fd = libc.openat2(-100, str(tmp_path), os.O_RDONLY, 0)
    try:
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_spawned_child_has_only_the_given_descriptors(tmp_path: Path) -> None:
    out = tmp_path / "out"
    null = os.open("/dev/null", os.O_RDWR)
    output = os.open(out, os.O_CREAT | os.O_WRONLY)
    leaked = os.dup(null)
    os.set_inheritable(leaked, True)
    try:
        argv = ["/bin/sh", "-c", 'echo $PWD "$A"; ls -1 /proc/self/fd; ps -o pid=,sid= -p $$']
        pid = libc.posix_spawn(argv, {"A": "b c"}, [(null, 0), (output, 1), (output, 2)], str(tmp_path))
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        for fd in (null, output, leaked):
            os.close(fd)
    first, *fds, session = out.read_text().splitlines()
    assert first == f"{tmp_path} b c"
    assert fds == ["0", "1", "2", "3"]  # 3 is the directory that ls reads
    assert session.split() == [str(pid), str(pid)]


@pytest.mark.parametrize(
    ("program", "cwd", "expected"),
    [
        ("/nonexistent", None, errno.ENOENT),
        ("/etc/passwd", None, errno.EACCES),
        ("/bin/true", "/nonexistent", errno.ENOENT),
    ],
)
def test_spawn_of_what_cannot_run(program: str, cwd: str | None, expected: int) -> None:
    with pytest.raises(OSError, match="execve: ") as failed:
        libc.posix_spawn([program], {}, [(0, 0)], cwd)
    assert (failed.value.errno, failed.value.filename) == (expected, program)
