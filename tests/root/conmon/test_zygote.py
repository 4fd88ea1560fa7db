"""The zygote itself: imports, silent clients, what its forks inherit."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from conmon import starter, zygote
from conmon.client import ensure_zygote


def test_imports_stay_within_the_budget() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import conmon.zygote, json; print(json.dumps(list(sys.modules)))"
    )
    root = str(Path(zygote.__file__).parent.parent)
    argv = [sys.executable, "-I", "-S", "-c", code, root]
    modules = json.loads(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)
    assert len(modules) <= zygote.IMPORT_BUDGET, sorted(modules)
    heavy = {
        "asyncio",
        "contextlib",
        "dataclasses",
        "logging",
        "socket",
        "subprocess",
        "threading",
        "traceback",
        "typing",
    }
    assert not heavy & set(modules)


def test_a_client_that_says_nothing_holds_nobody(tmp_path: Path) -> None:
    pid = ensure_zygote(tmp_path)
    try:
        silent = [starter.connect(tmp_path, name) for name in (zygote.SOCKET, zygote.CONTAINERS) for _ in range(5)]
        assert ensure_zygote(tmp_path) == pid
        for sock in silent:
            sock.close()
        while len(_children(pid)):
            time.sleep(0.01)
    finally:
        os.kill(pid, 9)


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Whoever needs one again gets another; a host that shuts down need not wait until it is killed."""
    pid = ensure_zygote(tmp_path)
    os.kill(pid, signal.SIGTERM)
    wait_until_gone(pid)
    again = ensure_zygote(tmp_path)
    assert again != pid
    os.kill(again, signal.SIGKILL)


async def test_a_monitor_stays_when_it_is_told_to_end(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    await runc_world.start(container)
    os.kill(container.state.monitor_pid, signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert Path(f"/proc/{container.state.monitor_pid}/comm").read_text() == "conmon\n"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_environment_and_descriptors_of_all_processes(runc_world: Any) -> None:
    os.environ["NOTIFY_SOCKET"] = "/secret"
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        container = await runc_world.create(["/bin/sleep", "1000"])
        zygote = int(str((await runc_world.zygote.ping())["pid"]))
    finally:
        del os.environ["NOTIFY_SOCKET"]
        os.close(leak)
    await runc_world.start(container)
    for pid in (zygote, container.state.monitor_pid):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        names = {item.partition(b"=")[0] for item in environment.split(b"\0") if item}
        assert names == {b"PATH", b"XDG_RUNTIME_DIR", b"LD_BIND_NOW", b"GLIBC_TUNABLES"}
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert len(list(Path(f"/proc/{zygote}/fd").iterdir())) <= 19
    inside = {os.readlink(path) for path in Path(f"/proc/{container.state.pid}/fd").iterdir()}
    assert all(name == "/dev/null" or name.startswith("pipe:") for name in inside), inside
    ignored = Path(f"/proc/{container.state.pid}/status").read_text()
    masks = {line.split()[0]: line.split()[1] for line in ignored.splitlines() if line.startswith("Sig")}
    # glibc's posix_spawn leaves its own signal 32 ignored; every libc sets its own handler when it needs that.
    assert int(masks["SigIgn:"], 16) & ~(1 << 31) == 0 and int(masks["SigBlk:"], 16) == 0, masks


async def test_names_show_in_ps(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    zygote = (await runc_world.zygote.ping())["pid"]
    assert Path(f"/proc/{zygote}/comm").read_text() == "conmon-zygote\n"
    assert Path(f"/proc/{container.state.monitor_pid}/comm").read_text() == "conmon\n"
