"""What the process that reads an archive can still do, asked of the process itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[5]
PRISONER = """
import json, os, resource, socket, sys
from criserver.drivers.images.unpack import jail
status = open("/proc/self/status")
before = open("/proc/self/ns/net").fileno()
jail.enter(sys.argv[1], 4096)

def attempt(function, *arguments):
    try:
        return str(function(*arguments))
    except Exception as error:
        return type(error).__name__

def write_much():
    fd = os.open("much", os.O_WRONLY | os.O_CREAT)
    return os.write(fd, b"x" * 4096) + os.write(fd, b"x")

facts = {
    "listing": sorted(os.listdir("/")),
    "above": sorted(os.listdir("/..")),
    "mount": attempt(os.chroot, "/"),
    "setuid": attempt(os.setuid, 1000),
    "kill": attempt(os.kill, 1, 0),
    "much": attempt(write_much),
    "memory": attempt(bytearray, 2 << 30),
    "node": attempt(os.mknod, "node", 0o020666, os.makedev(1, 3)),
    "trusted": attempt(os.setxattr, "/", "trusted.test", b"y"),
    "connect": attempt(socket.create_connection, ("127.0.0.1", 9), 1),
    "interfaces": attempt(lambda: [flag for _, flag in socket.if_nameindex()]),
    "status": status.read(),
}
print(json.dumps(facts))
"""


def test_a_prisoner(tmp_path: Path) -> None:
    (tmp_path / "jail").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PRISONER, str(tmp_path / "jail")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    assert facts["listing"] == facts["above"] == []
    assert facts["mount"] == "PermissionError"
    assert facts["setuid"] == "PermissionError"
    assert facts["kill"] in ("PermissionError", "None")
    assert facts["much"] == "OSError"
    assert facts["memory"] == "MemoryError"
    assert (facts["node"], facts["trusted"]) == ("None", "None")
    assert facts["interfaces"] == "['lo']"
    fields = dict(line.split(":\t", 1) for line in facts["status"].splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0x8820001B
    assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
