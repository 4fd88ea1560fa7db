"""Programs are run to their end: output, limits, deadlines, cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from criserver.errors import DeadlineExceeded, FailedPrecondition
from criserver.kernel import proc, process
from criserver.kernel.process import run


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds; a zombie has ended, whoever is to reap it."""
    for _ in range(250):
        if proc.start_time(pid) is None:
            return True
        time.sleep(0.02)
    return False


async def cancelled(work: Coroutine[Any, Any, Any], after: Path) -> None:
    """Cancel `work` once the file `after` is there, and see it end cancelled."""
    caller = asyncio.gather(work)
    while not after.exists():
        await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_result() -> None:
    done = await run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin=b"in\n" * 100_000)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in\n" * 100_000, b"oops\n")
    assert not done.truncated
    assert done.failure == "sh -c 'cat; echo oops >&2; exit 3': exit status 3: oops"


async def test_signal_and_silence() -> None:
    done = await run(["sh", "-c", "kill -TERM $$"])
    assert done.returncode == -signal.SIGTERM
    assert done.failure == "sh -c 'kill -TERM $$': killed by signal 15: no output"


async def test_environment_is_small_and_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "do not inherit")
    done = await run(["env"], env={"MORE": "1"})
    assert sorted(done.stdout.decode().splitlines()) == ["LANG=C.UTF-8", "MORE=1", f"PATH={process.PATH}"]


async def test_stdin_is_empty_by_default() -> None:
    assert (await run(["wc", "-c"], timeout=10)).stdout == b"0\n"


async def test_ignored_signals_are_default_again() -> None:
    # Python ignores SIGPIPE; a program that inherits that goes on writing when its reader has gone.
    done = await run(["grep", "SigIgn", "/proc/self/status"])
    ignored = int(done.stdout.split()[1], 16)
    assert ignored & ~(0b11 << 31) == 0  # 32 and 33 are glibc's own, which posix_spawn always ignores


async def test_output_is_bounded() -> None:
    done = await run(["sh", "-c", "head -c 5000000 /dev/zero; echo end >&2"], limit=1000)
    assert (len(done.stdout), done.stderr, done.truncated) == (1000, b"end\n", True)


async def test_working_directory_and_passed_descriptor(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        done = await run(["sh", "-c", f"pwd; cat /dev/fd/{fd}"], cwd=str(tmp_path), pass_fds=(fd,))
    finally:
        os.close(fd)
    assert done.stdout.decode() == f"{tmp_path}\ncontent"


async def test_no_descriptor_is_inherited() -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        done = await run(["ls", "/proc/self/fd"])
    finally:
        os.close(leaked)
    assert done.stdout.split() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("skopeo-that-is-not-there", "program skopeo-that-is-not-there .*looked in /usr/local/sbin.*: install it$"),
        ("/nonexistent/runc", r"program /nonexistent/runc is not there.*install it \(Debian package runc\)"),
        ("/etc/passwd", "program /etc/passwd is not there or not executable"),
    ],
)
async def test_missing_program(name: str, message: str) -> None:
    with pytest.raises(FailedPrecondition, match=message):
        await run([name])


async def test_program_that_cannot_be_executed(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nonexistent/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(FailedPrecondition, match=r"cannot run .*script: .*execve: No such file"):
        await run([str(script)])


async def test_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! >{pids}; trap '' TERM; wait"
    with pytest.raises(DeadlineExceeded, match="did not end within 0.3 s and was killed"):
        await run(["sh", "-c", script], timeout=0.3)
    assert gone(int(pids.read_text()))


async def test_cancellation_kills_the_whole_group(tmp_path: Path) -> None:
    pids, ready = tmp_path / "pids", tmp_path / "ready"
    await cancelled(run(["sh", "-c", f"sleep 1000 & echo $! $$ >{pids}; >{ready}; wait"]), ready)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


async def test_cancellation_while_spawning_leaves_no_process(tmp_path: Path) -> None:
    marker = f"criserver-test-{os.getpid()}"
    callers = [asyncio.gather(run(["sleep", "1000", "--"], env={"MARKER": marker})) for _ in range(10)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    for caller in callers:
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and marker in _environ(pid)]


def _environ(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


async def test_background_child_that_holds_the_pipe_does_not_hold_the_answer(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    started = time.monotonic()
    done = await run(["sh", "-c", f"sleep 60 & echo $! >{pids}; echo out"], timeout=30)
    try:
        assert (done.returncode, done.stdout) == (0, b"out\n")
        assert time.monotonic() - started < 30
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)


def _children() -> set[str]:
    """This process's children, those of other tests included."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends meanwhile
            found |= set((task / "children").read_text().split())
    return found


async def test_many_at_once_leak_nothing() -> None:
    await run(["true"])
    before, children = os.listdir("/proc/self/fd"), _children()
    for done in await asyncio.gather(*(run(["sh", "-c", f"echo {number}"]) for number in range(40))):
        assert done.returncode == 0
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert _children() <= children


def test_the_same_on_uvloop(tmp_path: Path) -> None:
    async def scenarios() -> None:
        await test_result()
        await test_output_is_bounded()
        await test_many_at_once_leak_nothing()
        for number, scenario in enumerate(
            (
                test_deadline_kills_the_whole_group,
                test_cancellation_kills_the_whole_group,
                test_background_child_that_holds_the_pipe_does_not_hold_the_answer,
            )
        ):
            (tmp_path / str(number)).mkdir()
            await scenario(tmp_path / str(number))

    uvloop.run(scenarios())


async def test_it_is_put_into_cgroups_and_runs_without_those_that_are_gone(tmp_path: Path) -> None:
    procs = (str(tmp_path / "cgroup.procs"), str(tmp_path / "gone" / "cgroup.procs"))
    done = await run(["sh", "-c", "echo $$"], procs=procs)
    assert (tmp_path / "cgroup.procs").read_text() == done.stdout.decode().strip()
