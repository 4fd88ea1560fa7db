"""One monitor at work: reopening, partial lines, ends that are held back, loss, clients, a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from conmon import protocol
from conmon.client import ConmonError, Monitor, MonitorLost
from conmon.records import read_exit


async def test_reopen_opens_the_new_file_before_it_answers(runc_world: Any) -> None:
    script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); /bin/busybox usleep 2000; done"
    container = await runc_world.create(["/bin/sh", "-c", script])
    await runc_world.start(container)
    parts = []
    for number in range(3):
        await asyncio.sleep(0.1)
        rotated = container.log.with_name(f"log.{number}")
        os.rename(container.log, rotated)
        await container.monitor.reopen()
        assert container.log.exists()
        parts.append(rotated)
    await asyncio.wait_for(container.monitor.wait(), 20)
    texts = [text for part in [*parts, container.log] for _, _, text in container.contents(part)]
    assert texts == [f"line {number}" for number in range(200)]


@pytest.mark.parametrize("code", [0, 5])
async def test_killed_monitor_is_noticed_and_the_exit_still_told(runc_world: Any, code: int) -> None:
    container = await runc_world.create(["/bin/sh", "-c", f"/bin/sleep 0.5; exit {code}"])
    await runc_world.start(container)
    waiting = asyncio.get_running_loop().create_task(container.monitor.wait())
    await asyncio.sleep(0.1)
    os.kill(container.state.monitor_pid, signal.SIGKILL)
    with pytest.raises(MonitorLost):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(MonitorLost):
        await Monitor(container.directory).state()
    await runc_world.until((container.directory / "exit.json").exists)
    ended = read_exit(container.directory / "exit.json")
    assert ended and (ended.exit_code, ended.monitor) == (code, "lost")


async def test_monitor_and_container_killed_at_once(runc_world: Any) -> None:
    for _ in range(5):
        container = await runc_world.create(["/bin/sleep", "1000"])
        await runc_world.start(container)
        os.kill(container.state.monitor_pid, signal.SIGSTOP)
        os.kill(container.state.pid, signal.SIGKILL)
        os.kill(container.state.monitor_pid, signal.SIGKILL)
        path = container.directory / "exit.json"
        await runc_world.until(path.exists)
        ended = read_exit(path)
        assert ended and (ended.exit_code, ended.monitor) == (137, "lost")


async def test_background_process_does_not_hold_the_exit(runc_world: Any) -> None:
    def share_pids(config: Any) -> None:
        config["linux"]["namespaces"] = [ns for ns in config["linux"]["namespaces"] if ns["type"] != "pid"]

    script = "(while :; do echo noise; done) & echo $!; exit 9"
    ended, container = await runc_world.run(["/bin/sh", "-c", script], process={"mutate": share_pids})
    assert ended.exit_code == 9
    with contextlib.suppress(ProcessLookupError):  # SIGPIPE may have been faster
        os.kill(int(next(text for _, _, text in container.contents() if text != "noise")), signal.SIGKILL)


async def test_text_without_newline_shows_after_a_while(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "printf 'login: '; /bin/sleep 1000"])
    await runc_world.start(container)
    await runc_world.until(lambda: container.contents() == [("stdout", "P", "login: ")])
    os.kill(container.state.pid, signal.SIGKILL)
    await asyncio.wait_for(container.monitor.wait(), 10)
    assert container.contents() == [("stdout", "P", "login: "), ("stdout", "F", "")]


async def test_full_disk_costs_log_text_and_nothing_else(runc_world: Any) -> None:
    if not os.path.exists("/bin/mount"):
        pytest.skip("mount is not installed")
    small = runc_world.base / "small"
    small.mkdir()
    mount = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=64k", "test", str(small))
    assert await mount.wait() == 0
    try:
        script = "/bin/yes 0123456789 | /bin/busybox head -n 20000; exit 0"
        ended, container = await runc_world.run(["/bin/sh", "-c", script], log_path=str(small / "log"))
        assert ended.exit_code == 0 and ended.log_dropped > 0
        assert all(text == "0123456789" for _, _, text in container.contents())
    finally:
        await (await asyncio.create_subprocess_exec("umount", "-l", str(small))).wait()


async def test_many_clients_of_the_monitor(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "/bin/sleep 1; exit 8"])
    await runc_world.start(container)
    monitors = [Monitor(container.directory) for _ in range(20)]
    for monitor in monitors[::2]:
        assert (await monitor.ping())["pid"] == container.state.monitor_pid
    ends = await asyncio.wait_for(asyncio.gather(*(monitor.wait() for monitor in monitors)), 10)
    assert {end.exit_code for end in ends} == {8}


async def test_unknown_request_and_unknown_packets(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sleep", "1000"])
    with pytest.raises(ConmonError, match="knows no request 'newer'"):
        await container.monitor._running("newer", {"field": 1})
    connection = container.monitor._connection
    assert connection
    for packet in (
        b"",
        b"\x01",
        b"\x63\x01{}",
        protocol.encode(200, b"x"),
        protocol.encode(protocol.REQUEST, b"[" * 9000),
    ):
        if packet:
            await connection.send(packet)
    await asyncio.sleep(0.1)  # the refusals, which nobody waits for
    assert (await container.monitor.ping())["major"] == protocol.MAJOR


@pytest.mark.slow
async def test_memory_stays_flat_under_output(runc_world: Any) -> None:
    script = "/bin/yes 0123456789 | /bin/busybox head -c 200000000; /bin/sleep 1000"
    container = await runc_world.create(["/bin/sh", "-c", script])
    await runc_world.start(container)
    monitor, sizes = container.state.monitor_pid, []
    async with asyncio.timeout(60):
        while container.log.stat().st_size < 900_000_000:
            sizes.append(memory(monitor, "Private_Dirty"))
            await asyncio.sleep(0.1)
        while memory(monitor, "Private_Dirty") > 2500:  # a burst's memory goes back
            await asyncio.sleep(0.1)
    assert max(sizes[len(sizes) // 4 :]) < max(sizes[: len(sizes) // 4 + 1]) + 2000, sizes
    assert max(sizes) < 10_000


def memory(pid: int, field: str) -> int:
    """A field of smaps_rollup in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])
