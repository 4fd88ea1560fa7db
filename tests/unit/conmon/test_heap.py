"""Holes of the heap are filled, within bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conmon import heap


def test_plug_ends_and_is_bounded() -> None:
    plugs = heap.plug()
    assert 31 <= len(plugs) < 31 * 20_000


def test_freeze_keeps_the_collector_off() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); import gc; from conmon import heap; k = heap.freeze(); "
    script += "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    argv = [sys.executable, "-c", script, str(Path(heap.__file__).parent.parent)]
    assert subprocess.run(argv, capture_output=True, check=True, text=True).stdout == "False True\n"
