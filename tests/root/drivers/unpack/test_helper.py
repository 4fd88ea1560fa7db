"""The helper as the server starts it: order of answers, the first error, siblings, death."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.layers import _HELPER
from tests.support.images import compress, digest, file, tar

REPOSITORY = Path(__file__).parents[4]
COMMAND = [sys.executable, "-I", "-c", _HELPER]


def layer(directory: Path, number: int, data: bytes) -> dict[str, str]:
    blob = directory / f"blob-{number}"
    blob.write_bytes(compress(data))
    target = directory / str(number)
    target.mkdir()
    return {
        "blob": str(blob),
        "target": str(target),
        "digest": digest(blob.read_bytes()),
        "diff_id": digest(data),
    }


def ask(layers: list[dict[str, str]], parallel: int = 2) -> list[dict[str, Any]]:
    request = {"layers": layers, "parallel": parallel, "entries": 1000, "bytes": 1 << 30}
    done = subprocess.run(
        [*COMMAND, str(REPOSITORY)], input=json.dumps(request).encode(), capture_output=True, check=True, cwd="/"
    )
    assert done.stderr == b""
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("parallel", [1, 2, 5])
def test_answers_are_in_order(tmp_path: Path, parallel: int) -> None:
    sizes = [2_000_000, 1, 1_000_000, 5, 500_000]
    layers = [layer(tmp_path, n, tar({"data": file(os.urandom(size))})) for n, size in enumerate(sizes)]
    answers = ask(layers, parallel)
    assert [answer["inodes"] for answer in answers] == [2] * 5
    assert [answer["size"] > size for answer, size in zip(answers, sizes, strict=True)] == [True] * 5
    assert ask([]) == []


def test_the_first_error_alone_is_told_and_ends_the_rest(tmp_path: Path) -> None:
    good = [layer(tmp_path, n, tar({f"{m}": file(os.urandom(100_000)) for m in range(200)})) for n in range(4)]
    bad = layer(tmp_path, 9, tar({"../x": file()}))
    (answer,) = ask([good[0], bad, *good[1:]])
    assert answer["error"] == "INVALID_ARGUMENT"
    assert "'../x'" in answer["message"]
    assert not any((tmp_path / str(n) / "199").exists() for n in (2, 3))


def test_a_missing_blob(tmp_path: Path) -> None:
    missing = layer(tmp_path, 1, tar({}))
    os.unlink(missing["blob"])
    (answer,) = ask([missing])
    assert (answer["error"], "blob-1" in answer["message"]) == ("INTERNAL", True)


def test_children_die_with_it(tmp_path: Path) -> None:
    fifo = layer(tmp_path, 1, tar({}))
    os.unlink(fifo["blob"])
    os.mkfifo(fifo["blob"])  # nobody opens it for writing, so the child waits for ever
    request = {"layers": [fifo], "parallel": 1, "entries": 10, "bytes": 10}
    helper = subprocess.Popen([*COMMAND, str(REPOSITORY)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        helper.communicate(json.dumps(request).encode(), timeout=0.5)
    (child,) = children(helper.pid)
    helper.kill()
    helper.wait()
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
