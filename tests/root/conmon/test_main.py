"""``python -m conmon`` by itself, as a person uses it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from conmon import starter


async def conmon(world: Any, *args: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run the command: exit status, stdout and stderr."""
    argv = (sys.executable, "-m", "conmon", "--base", str(world.base / "cli"), *args)
    pipe = asyncio.subprocess.PIPE
    root = Path(starter.__file__).parent.parent
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=root)
    out, err = await asyncio.wait_for(process.communicate(stdin), 20)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_run_waits_logs_and_cleans_up(runc_world: Any) -> None:
    bundle = runc_world.bundle(["/bin/sh", "-c", "echo hello; exit 5"])
    log = runc_world.base / "log"
    code, _, err = await conmon(runc_world, "run", "one", str(bundle), "--log", str(log))
    assert code == 5 and err.startswith("one: pid ")
    assert log.read_bytes().endswith(b" stdout F hello\n")
    assert not (runc_world.base / "cli/one").exists()
    assert await conmon(runc_world, "ps") == (0, "", "")


async def test_detached_state_exec_attach(runc_world: Any) -> None:
    bundle = runc_world.bundle(["/bin/sh", "-c", "read x; echo got $x; exit 3"])
    code, _, err = await conmon(runc_world, "run", "two", str(bundle), "--stdin", "--detach")
    assert code == 0, err
    try:
        assert (await conmon(runc_world, "ps"))[1].split()[::2] == ["two", "running"]
        assert '"exit": null' in (await conmon(runc_world, "state", "two"))[1]
        assert await conmon(runc_world, "exec", "two", "/bin/sh", "--", "-c", "echo in; exit 9") == (9, "in\n", "")
        assert await conmon(runc_world, "attach", "two", stdin=b"line\n") == (0, "got line\n", "")
        assert (await conmon(runc_world, "ps"))[1].strip().endswith("exited 3")
    finally:
        root = str(runc_world.base / "cli/runtime")
        await (await asyncio.create_subprocess_exec("runc", "--root", root, "delete", "--force", "two")).wait()


async def test_errors_are_one_line(runc_world: Any) -> None:
    code, _, err = await conmon(runc_world, "run", "bad", "/no/such/bundle")
    assert code == 1 and err.startswith("conmon: ") and err.count("\n") == 1
    assert (await conmon(runc_world, "state", "none"))[0] == 1
    pid = starter.probe(runc_world.base / "cli")
    if pid:
        os.kill(pid, signal.SIGKILL)
