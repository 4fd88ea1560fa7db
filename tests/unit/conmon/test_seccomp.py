"""The filter of a process that only sleeps: as a program on paper, and in a process that tries more."""

from __future__ import annotations

import os
import struct

import pytest

from conmon import linux, seccomp

EPERM = seccomp.SECCOMP_RET_ERRNO | 1


def run(program: bytes, arch: int, number: int) -> int:
    """What the kernel would make of it."""
    lines = list(struct.iter_unpack("=HBBI", program))
    at, register = 0, 0
    while True:
        code, jump_true, jump_false, value = lines[at]
        at += 1
        if code == 0x20:
            register = {0: number, 4: arch}[value]
        elif code == 0x15:
            at += jump_true if register == value else jump_false
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize("machine", sorted(seccomp._CALLS))
def test_these_calls_and_no_others(machine: str) -> None:
    arch, numbers = seccomp._CALLS[machine]
    program = seccomp.program(machine)
    for number in range(600):
        assert run(program, arch, number) == (seccomp.SECCOMP_RET_ALLOW if number in numbers else EPERM)
    for other in (0x40000003, 0, arch ^ 1):
        assert run(program, other, numbers[0]) == EPERM, "calls of another machine type have other numbers"
    assert run(program, arch, 0x40000000 | numbers[0]) == EPERM, "those of x32 as well"


def test_a_machine_that_is_not_known() -> None:
    with pytest.raises(KeyError):
        seccomp.program("pdp11")


def test_a_process_that_tries_more() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.only_sleep()
        for attempt in (lambda: os.open("/", os.O_RDONLY), lambda: os.kill(os.getppid(), 0), os.fork):
            try:
                attempt()
                os.write(writer, b"done ")
            except PermissionError:
                os.write(writer, b"refused ")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    assert (said, status) == (b"refused refused refused ", 0)
