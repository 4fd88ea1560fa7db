from __future__ import annotations

import os
import termios

import pytest

from criserver.kernel import terminal


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [(91, 17, (17, 91)), (0, 0, (1, 1)), (70000, -4, (1, 65535))],
)
def test_size_is_set_and_clamped(columns: int, rows: int, expected: tuple[int, int]) -> None:
    master, slave = os.openpty()
    try:
        terminal.resize(master, columns, rows)
        assert termios.tcgetwinsize(slave) == expected
    finally:
        os.close(master)
        os.close(slave)
