"""The rehearsal goes through a whole doze and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conmon import slots, warmup

SCRIPT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from conmon import doze, reactor, slots, warmup
slots.reserve()
reactor.block_signals()
seen = []
wake = warmup._wake
def note(dozed):
    seen.append((len(dozed.clients), dozed.stream, dozed.data, dozed.held[:], dozed.status))
    wake(dozed)
warmup._wake = note
warmup.rehearse(sys.argv[2])
assert seen == [(1, slots.STDERR, b"", [b"and a part", b""], -1)] * warmup.ROUNDS, seen
print(len(os.listdir("/proc/self/fd")) - 1)
"""


def test_rehearsal(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", SCRIPT, str(Path(warmup.__file__).parent.parent), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{slots.END}\n", "")  # 0 to 2 and the slots
    assert os.listdir(tmp_path) == []
