"""The contract of `Exec`, on real processes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from cni.execute import OUTPUT_LIMIT, Completed, run

ENV = {"PATH": "/usr/bin:/bin", "ONLY": "this"}


async def sh(script: str, *, stdin: bytes = b"", timeout: float = 20) -> Completed:
    return await run(["/bin/sh", "-c", script], env=ENV, stdin=stdin, timeout=timeout)


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def gone(pid: int) -> bool:
    """Whether a process is no more, as a parent that may be slow to reap leaves it for a while."""
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def number_in(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text().strip() else 0


async def written(path: Path) -> int:
    while not number_in(path):  # another process writes it
        await asyncio.sleep(0.01)
    return number_in(path)


async def test_input_output_and_status_come_through_whole() -> None:
    big = bytes(range(256)) * 2000
    completed = await sh("cat; echo words >&2; exit 3", stdin=big)
    assert completed == Completed(3, big, b"words\n")


async def test_a_program_that_reads_no_input_is_no_failure() -> None:
    assert (await sh("exit 0", stdin=b"x" * 500_000)).returncode == 0


async def test_environment_directory_session_and_descriptors_are_fixed() -> None:
    script = "env | sort; pwd; cut -d' ' -f1,5,6 /proc/$$/stat; echo $$; ls /proc/$$/fd"
    lines = (await sh(script)).stdout.decode().split("\n")
    assert lines[:3] == ["ONLY=this", "PATH=/usr/bin:/bin", "PWD=/"]
    assert lines[3] == "/"
    pid = lines[5]
    assert lines[4].split() == [pid, pid, pid]
    assert set(lines[6:-1]) <= {"0", "1", "2"}


async def test_a_signal_is_told_as_a_negative_status() -> None:
    assert (await sh("kill -TERM $$")).returncode == -15


async def test_output_is_bounded_and_does_not_block_the_program() -> None:
    completed = await sh(f"head -c {3 * OUTPUT_LIMIT} /dev/zero; head -c 10 /dev/zero >&2")
    assert completed.returncode == 0
    assert len(completed.stdout) == OUTPUT_LIMIT
    assert completed.truncated
    assert not (await sh(f"head -c {OUTPUT_LIMIT} /dev/zero")).truncated


async def test_at_the_deadline_the_whole_group_dies_and_its_words_are_kept(tmp_path: Path) -> None:
    script = f"echo waiting >&2; sleep 1000 & echo $! > {tmp_path}/child; trap '' TERM; wait; sleep 1000"
    completed = await sh(script, timeout=0.3)
    assert completed.timed_out
    assert completed.returncode == -9
    assert completed.stderr == b"waiting\n"
    assert gone(await written(tmp_path / "child"))


async def test_cancellation_kills_the_whole_group_and_reaps_it(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
    task = asyncio.get_running_loop().create_task(sh(script))
    leader = await written(tmp_path / "self")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(leader), "the leader was not reaped"
    assert gone(await written(tmp_path / "child"))


async def test_a_daemon_left_behind_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cni.execute.LINGER", 0.05)
    completed = await sh(f"echo done; sleep 1000 & echo $! > {tmp_path}/child")
    pid = await written(tmp_path / "child")
    try:
        assert (completed.returncode, completed.stdout, completed.timed_out) == (0, b"done\n", False)
        assert alive(pid), "what a plugin leaves on purpose stays"
    finally:
        os.kill(pid, 9)


async def test_a_program_that_cannot_be_started_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    before = descriptors()
    for path in ("/nonexistent", str(tmp_path / "text"), str(tmp_path)):
        with pytest.raises(OSError, match=r"No such file|Exec format|Permission"):
            await run([path], env={}, stdin=b"", timeout=1)
    assert descriptors() == before


async def test_a_program_that_cannot_be_watched_is_not_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    children = []

    def refuse(pid: int) -> int:
        children.append(pid)
        raise OSError("too many open files")

    monkeypatch.setattr("cni.execute.os.pidfd_open", refuse)
    before = descriptors()
    with pytest.raises(OSError, match="too many open files"):
        await sh("sleep 1000")
    assert not alive(children[0])
    assert descriptors() == before


async def test_nothing_leaks_whatever_happens() -> None:
    await sh("exit 0")
    before = descriptors()
    await asyncio.gather(*(sh("echo a; exit 1") for _ in range(5)))
    await sh("sleep 100", timeout=0.05)
    task = asyncio.get_running_loop().create_task(sh("sleep 100"))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait({task})
    assert descriptors() == before


async def test_an_unkillable_program_does_not_hang_its_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one in uninterruptible sleep would; here the kill is held back instead."""
    monkeypatch.setattr("cni.execute.KILL_GRACE", 0.05)
    monkeypatch.setattr("cni.execute.os.killpg", lambda *_: None)
    completed = await sh(f"echo $$ > {tmp_path}/self; sleep 0.4", timeout=0.1)
    assert completed.timed_out
    pid = await written(tmp_path / "self")
    while alive(pid):  # it is still collected when it ends at last
        await asyncio.sleep(0.02)


def test_it_runs_on_uvloop_too(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is missing (pip install uvloop)")

    async def work() -> list[Completed]:
        done = await asyncio.gather(*(sh(f"cat; exit {number}", stdin=b"in") for number in range(5)))
        killed = await sh(f"sleep 1000 & echo $! > {tmp_path}/child; wait", timeout=0.3)
        return [*done, killed]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        *done, killed = runner.run(work())
    assert done == [Completed(number, b"in") for number in range(5)]
    assert killed.timed_out
    assert gone(number_in(tmp_path / "child"))
