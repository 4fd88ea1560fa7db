"""What is asked of host paths: plain answers, and the program that gives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.host.questions import below, mode, propagation, small_file, source
from criserver.kernel.mount import parse_mountinfo
from criserver.model.host import SourcePropagation

ROOT = Path(__file__).resolve().parents[4]
MAIN = "import sys; sys.path.insert(0, sys.argv[1]); from criserver.drivers.host.questions import main; main()"

TABLE = parse_mountinfo("""20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 8:2 / /var rw master:1 - ext4 /dev/sda2 rw
22 21 8:3 / /var/lib rw - ext4 /dev/sda3 rw
23 21 8:4 / /var/lib/both rw shared:7 master:1 - ext4 /dev/sda4 rw
24 20 8:5 / /over rw shared:9 - ext4 /dev/sda5 rw
25 24 8:6 / /over rw - ext4 /dev/sda6 rw
""")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", SourcePropagation.SHARED),
        ("/home/x", SourcePropagation.SHARED),
        ("/variable", SourcePropagation.SHARED),
        ("/var", SourcePropagation.SLAVE),
        ("/var/log", SourcePropagation.SLAVE),
        ("/var/lib", SourcePropagation.PRIVATE),
        ("/var/library", SourcePropagation.SLAVE),
        ("/var/lib/both/x", SourcePropagation.SHARED),
        ("/over/x", SourcePropagation.PRIVATE),
    ],
)
def test_the_propagation_of_the_mount_that_holds_a_path(path: str, expected: SourcePropagation) -> None:
    assert propagation(path, TABLE) is expected


BELOW = parse_mountinfo("""20 1 8:1 / / rw - ext4 a rw
21 20 8:2 / /v/x rw - ext4 b rw
22 21 8:3 / /v/x/y rw - ext4 c rw
23 20 8:4 / /v/h/hidden rw - ext4 d rw
24 20 8:5 / /v/h rw - ext4 e rw
25 20 8:6 / /v/z rw - ext4 f rw
26 25 8:7 / /v/z rw - ext4 g rw
27 20 8:8 / /vv rw - ext4 h rw
28 20 8:9 / /v/gone//deleted rw - ext4 i rw
29 23 8:10 / /v/h/hidden/too rw - ext4 j rw
30 24 8:11 / /v/h/seen rw - ext4 k rw
""")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v", ["/v/h", "/v/x", "/v/z"]),
        ("/v/x", ["/v/x/y"]),
        ("/v/h", ["/v/h/seen"]),
        ("/v/z", []),
        ("/", ["/v/h", "/v/x", "/v/z", "/vv"]),
    ],
)
def test_what_is_mounted_below_a_path_and_can_be_seen(path: str, expected: list[str]) -> None:
    assert below(path, BELOW) == expected


def test_a_path_that_no_mount_holds() -> None:
    assert propagation("/x", ()) is SourcePropagation.PRIVATE


def test_answers(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("made")
    assert source(f"{tmp_path}/link")[0] == f"{tmp_path}/made" and (tmp_path / "made").is_dir()
    assert mode(f"{tmp_path}/missing") == 0 and mode(str(tmp_path)) == os.stat(tmp_path).st_mode
    (tmp_path / "text").write_bytes(b"a\xff")
    assert small_file(f"{tmp_path}/text") == "a\ufffd"


def asked(question: str, path: str) -> Any:
    argv = [sys.executable, "-I", "-c", MAIN, str(ROOT), question, path]
    return json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout)


def test_the_program(tmp_path: Path) -> None:
    assert asked("source", str(tmp_path))["answer"][0] == str(tmp_path)
    assert asked("devices", "/dev/null")["answer"][0][:4] == ["/dev/null", "c", 1, 3]
    assert asked("devices", f"{tmp_path}/missing") == {"error": [2, "No such file or directory"]}
    assert asked("small_file", str(tmp_path)) == {"error": [22, "not a regular file"]}


def test_it_imports_little() -> None:
    code = MAIN.replace("main()", "[]") + "; print(*sys.modules)"
    argv = [sys.executable, "-I", "-c", code, str(ROOT)]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    assert not {"asyncio", "grpc", "msgspec", "yaml", "uvloop"} & set(loaded)
