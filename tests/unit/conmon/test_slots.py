"""The slots do not overlap, and hold /dev/null until they are filled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conmon import slots

SCRIPT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from conmon import slots
slots.reserve()
first = os.dup(0)
reader, writer = os.pipe()
slots.fill(slots.STDOUT, reader)
print(first, {n: os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in range(slots.LISTENER, slots.END)})
"""


def test_numbers_are_distinct_and_dense() -> None:
    numbers = [value for name, value in vars(slots).items() if name.isupper() and not name.startswith(("END", "READY"))]
    assert sorted(numbers) == list(range(slots.LISTENER, slots.END))
    assert slots.READY != slots.READY_TO_DOZE


def test_reserved_until_filled() -> None:
    root = str(Path(slots.__file__).parent.parent)
    out = subprocess.run([sys.executable, "-c", SCRIPT, root], capture_output=True, check=True, text=True).stdout
    expected = dict.fromkeys(range(slots.LISTENER, slots.END), "/dev/null") | {slots.STDOUT: "pipe"}
    assert out.strip() == f"{slots.END} {expected}"
    assert os.path.exists("/dev/null")
