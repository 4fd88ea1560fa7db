"""Command lines of the runtime, its words, and starting it."""

from __future__ import annotations

import os

import pytest

from conmon import runtime
from conmon.errors import ConmonError


def test_create_command_line() -> None:
    argv = runtime.create_argv(["/r", "--root", "/x"], "/b", ["--no-pivot"], "id")
    assert runtime.with_options(argv, "create", "/l", "/p", "", systemd=False) == [
        *("/r", "--root", "/x", "--log", "/l", "--log-format", "json", "create", "--pid-file", "/p"),
        *("--bundle", "/b", "--no-pivot", "id"),
    ]


def test_exec_command_line_with_terminal_and_systemd() -> None:
    argv = runtime.exec_argv(["/r"], "/process", [], "id")
    assert runtime.with_options(argv, "exec", "/l", "/p", "/c", systemd=True) == [
        *("/r", "--log", "/l", "--log-format", "json", "--systemd-cgroup", "exec", "--pid-file", "/p"),
        *("--console-socket", "/c", "--detach", "--process", "/process", "id"),
    ]


@pytest.mark.parametrize(
    ("log", "stderr", "expected"),
    [
        (b'{"level":"error","msg":"no such file"}\n', b"noise", "no such file"),
        (b'{"level":"warning","msg":"w"}\n{"level":"error","msg":"a"}\n{"level":"fatal","msg":"b"}\n', b"", "a; b"),
        (b"not json\n[1]\n", b"flag provided but not defined\n", "flag provided but not defined"),
        (b"", b"", "no message"),
        (b"", b"\xff\n", "\ufffd"),
        (b'{"level":"error","msg":"' + b"x" * 10000 + b'"}', b"", "x" * runtime.MAX_WORDS),
    ],
)
def test_words(log: bytes, stderr: bytes, expected: str) -> None:
    assert runtime.words(log, stderr) == expected


def test_spawn_has_the_fixed_environment_and_its_stdio_alone() -> None:
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    script = "env; for fd in /proc/self/fd/*; do echo ${fd##*/}; done"
    pid = runtime.spawn(["/bin/sh", "-c", script], (null, writer, null))
    os.close(writer)
    os.close(null)
    with os.fdopen(reader, "rb") as file:
        lines = file.read().decode().split()
    os.waitpid(pid, 0)
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == set(runtime.ENVIRONMENT)
    # What this process itself was started with may be inheritable; 10 is the shell's own.
    ours = {fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _inheritable(fd)}
    assert {int(line) for line in lines if line.isdecimal()} <= {0, 1, 2, 3, 10} | ours


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the descriptor that the listing itself had open
        return False


def test_missing_program_is_named() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    with pytest.raises(ConmonError, match="cannot start runtime /no/such: No such file"):
        runtime.spawn(["/no/such"], (null, null, null))
    os.close(null)
