"""The master of a pseudo terminal."""

from __future__ import annotations

import os
import termios

import pytest

from conmon import terminal


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [(80, 24, (24, 80)), (0, 0, (1, 1)), (-5, 10**9, (65535, 1)), (65535, 1, (1, 65535))],
)
def test_sizes_are_clamped(columns: int, rows: int, expected: tuple[int, int]) -> None:
    master, slave = os.openpty()
    try:
        terminal.resize(master, columns, rows)
        assert termios.tcgetwinsize(slave) == expected
    finally:
        os.close(master)
        os.close(slave)


def test_newline_becomes_carriage_return_and_newline() -> None:
    master, slave = os.openpty()
    try:
        terminal.prepare(master)
        os.write(slave, b"a\n")
        assert os.read(master, 10) == b"a\r\n"
    finally:
        os.close(master)
        os.close(slave)
