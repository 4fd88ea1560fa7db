"""Containers under real monitors and real runtimes: created, observed, signalled, and their ends told truly."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from pathlib import Path

import pytest

from conmon.records import read_state
from criserver.drivers.monitors import monitor
from criserver.drivers.monitors.monitor import ConmonMonitors
from criserver.errors import DeadlineExceeded, FailedPrecondition, RuntimeFailed
from criserver.kernel import cgroupfs, namespaces, proc, process
from criserver.ports.monitor import Monitors, Observed
from tests.root.drivers.conftest import Bench


async def written(bench: Bench, container_id: str, text: str) -> None:
    """Wait until the container has logged that line."""
    async with asyncio.timeout(10):
        while not Path(bench.logs / container_id).exists() or text not in bench.log(container_id):
            await asyncio.sleep(0.01)


def monitor_pid(bench: Bench, container_id: str) -> int:
    state = read_state(f"{bench.directory(container_id)}/monitor")
    assert state
    return state.monitor_pid


async def test_a_fifo_that_a_killed_server_left_is_not_taken_for_waiting(bench: Bench) -> None:
    pid = await bench.create("c1", "sleep", "60")
    await bench.runtime.start("", "c1")
    (directory,) = Path(bench.place.state).glob("runtime/*/c1")
    if not (directory / "state.json").exists():
        pytest.skip("only runc's containers are started by their FIFO")
    os.mkfifo(directory / "exec.fifo")
    while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
        await asyncio.sleep(0.01)
    assert await bench.monitors.observe("c1") == Observed(pid=pid)
    await bench.monitors.kill_all("c1")


async def test_life_of_a_container(bench: Bench) -> None:
    port: Monitors = bench.monitors
    pid = await bench.create("c1", "sh", "-c", "echo hello; sleep 0.2; exit 7")
    assert await port.observe("c1") == Observed(pid=pid, started=False)
    await bench.runtime.start("", "c1")
    assert await port.observe("c1") == Observed(pid=pid)
    record = await asyncio.wait_for(port.exited("c1"), 10)
    assert (record.exit_code, record.oom_killed, record.monitor_lost) == (7, False, False)
    assert await port.observe("c1") == Observed(exited=record)
    assert bench.log("c1") == ["hello"]
    assert not await port.signal("c1", signal.SIGTERM)
    for _ in range(2):
        await port.forget("c1")
    assert not os.path.exists(f"{bench.directory('c1')}/monitor")
    assert await port.observe("c1") == Observed(monitored=False)


async def test_signal_and_code_of_a_killed_container(bench: Bench) -> None:
    await bench.start("c1", "sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.05; done")
    await written(bench, "c1", "ready")
    assert await bench.monitors.signal("c1", signal.SIGUSR1)
    await written(bench, "c1", "got it")
    await bench.monitors.kill_all("c1")
    assert (await asyncio.wait_for(bench.monitors.exited("c1"), 10)).exit_code == 137
    await bench.monitors.kill_all("c1")


async def test_kill_all_reaches_processes_outside_a_pid_namespace(bench: Bench) -> None:
    # In a shared PID namespace children outlive their container's first process.
    pid = await bench.start("c1", "sh", "-c", "setsid sleep 1000 & echo $!; exit 0", share_pid=True)
    async with asyncio.timeout(10):
        while not bench.log("c1") or proc.start_time(pid) is not None:
            await asyncio.sleep(0.01)
    child = int(bench.log("c1")[0])
    assert proc.start_time(child) is not None
    await bench.monitors.kill_all("c1")
    assert proc.start_time(child) is None
    assert (await asyncio.wait_for(bench.monitors.exited("c1"), 10)).exit_code == 0


async def test_runtimes_words_when_there_is_no_container(bench: Bench) -> None:
    await bench.bundle("c1", "/no/such/command")
    with pytest.raises(RuntimeFailed, match="no/such/command.*no such file or directory|No such file"):
        await bench.monitors.create(bench.request("c1"))
    assert not os.path.exists(f"{bench.directory('c1')}/monitor")
    assert not list((bench.place.state / "runtime").glob("*/c1"))
    await bench.create("c1", "true")  # the id is free again


async def test_thousand_waiters_and_one_that_gives_up(bench: Bench) -> None:
    await bench.start("c1", "sleep", "1000")
    waiters = [asyncio.gather(bench.monitors.exited("c1")) for _ in range(1000)]
    await asyncio.sleep(0.1)
    before = len(os.listdir("/proc/self/fd"))
    waiters[0].cancel()
    await bench.monitors.signal("c1", signal.SIGKILL)
    records = await asyncio.wait_for(asyncio.gather(*waiters[1:]), 10)
    assert {record.exit_code for (record,) in records} == {137}
    assert len(os.listdir("/proc/self/fd")) <= before  # one connection served them all, and is closed


async def test_new_server_finds_running_and_ended_containers(bench: Bench) -> None:
    pid = await bench.start("runs", "sleep", "1000")
    await bench.start("ended", "sh", "-c", "exit 3")
    ended = await asyncio.wait_for(bench.monitors.exited("ended"), 10)
    bench.monitors._let_go()
    bench.monitors = ConmonMonitors(str(bench.place.state), bench.hierarchies)
    await bench.monitors.start()
    assert await bench.monitors.observe("runs") == Observed(pid=pid)
    assert await bench.monitors.observe("ended") == Observed(exited=ended)
    assert await bench.monitors.exited("ended") == ended
    assert await bench.monitors.signal("runs", signal.SIGKILL)
    assert (await asyncio.wait_for(bench.monitors.exited("runs"), 10)).exit_code == 137


async def test_killed_monitor_with_a_live_zygote(bench: Bench) -> None:
    pid = await bench.start("c1", "sleep", "1000")
    waiting = asyncio.gather(bench.monitors.exited("c1"))
    await asyncio.sleep(0.05)
    os.kill(monitor_pid(bench, "c1"), signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert await bench.monitors.observe("c1") == Observed(pid=pid, monitored=False)
    assert not waiting.done()
    with pytest.raises(FailedPrecondition, match="the log of container c1 cannot be reopened"):
        await bench.monitors.reopen_log("c1")
    assert await bench.monitors.signal("c1", signal.SIGTERM) or True
    await bench.monitors.kill_all("c1")
    (record,) = await asyncio.wait_for(waiting, 10)
    assert (record.exit_code, record.monitor_lost) == (137, False)  # the zygote has taken the monitor's place


async def test_killed_monitor_and_killed_zygote(bench: Bench) -> None:
    pid = await bench.start("c1", "sleep", "1000")
    waiting = asyncio.gather(bench.monitors.exited("c1"))
    await asyncio.sleep(0.05)
    os.kill(bench.zygote(), signal.SIGKILL)
    os.kill(monitor_pid(bench, "c1"), signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert await bench.monitors.observe("c1") == Observed(pid=pid, monitored=False)
    await bench.monitors.kill_all("c1")
    (record,) = await asyncio.wait_for(waiting, 10)
    # Since Linux 6.15 the kernel tells it to a holder of a pidfd.
    told = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 15)
    assert (record.exit_code, record.monitor_lost) == ((137, False) if told else (255, True))
    await bench.start("c2", "sh", "-c", "exit 4")  # under a new zygote
    assert (await asyncio.wait_for(bench.monitors.exited("c2"), 10)).exit_code == 4


async def test_container_that_ended_while_nobody_looked(bench: Bench) -> None:
    await bench.start("c1", "sleep", "1000")
    bench.monitors._let_go()
    os.kill(bench.zygote(), signal.SIGKILL)
    os.kill(monitor_pid(bench, "c1"), signal.SIGKILL)
    await bench.monitors.kill_all("c1")
    observed = await bench.monitors.observe("c1")
    assert observed.exited is not None
    assert (observed.pid, observed.exited.exit_code, observed.exited.monitor_lost) == (0, 255, True)


async def test_zygote_alone_is_replaced(bench: Bench) -> None:
    await bench.start("c1", "sh", "-c", "sleep 0.5; exit 5")
    os.kill(bench.zygote(), signal.SIGKILL)
    await bench.start("c2", "true")
    assert (await asyncio.wait_for(bench.monitors.exited("c1"), 10)).exit_code == 5
    assert (await asyncio.wait_for(bench.monitors.exited("c2"), 10)).exit_code == 0


async def test_cancelled_create_leaves_nothing(bench: Bench) -> None:
    await bench.bundle("c1", "sleep", "1000")
    cancelled = 0
    for delay in (0.001, 0.004, 0.01, 0.03):
        caller = asyncio.get_running_loop().create_task(bench.monitors.create(bench.request("c1")))
        await asyncio.sleep(delay)
        caller.cancel()
        await asyncio.wait([caller])
        cancelled += caller.cancelled()
        if not caller.cancelled():  # A fast runtime was done before.
            await bench.runtime.delete("", "c1")
            await bench.monitors.forget("c1")
        assert not os.path.exists(f"{bench.directory('c1')}/monitor")
        assert not list((bench.place.state / "runtime").glob("*/c1"))
    assert cancelled
    await bench.create("c1", "true")


async def test_runtime_that_hangs_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_CREATE_TIMEOUT", 0.3)
    await bench.bundle("c1", "true")
    script = bench.logs / "hangs"
    script.write_text("#!/bin/sh\ncase $* in *delete*) exit 0;; esac\necho $$ >$0.pid\nexec sleep 1000\n")
    script.chmod(0o755)
    request = dataclasses.replace(bench.request("c1"), command=(str(script),))
    with pytest.raises(DeadlineExceeded, match="hangs create did not end within 0.3 s"):
        await bench.monitors.create(request)
    assert proc.start_time(int((bench.logs / "hangs.pid").read_text())) is None
    assert not os.path.exists(f"{bench.directory('c1')}/monitor")


async def test_log_is_opened_anew(bench: Bench) -> None:
    await bench.start("c1", "sh", "-c", "echo one; trap 'echo two' USR1; while :; do sleep 0.05; done")
    await written(bench, "c1", "one")
    os.rename(bench.logs / "c1", bench.logs / "c1.old")
    await bench.monitors.reopen_log("c1")
    await bench.monitors.signal("c1", signal.SIGUSR1)
    await written(bench, "c1", "two")
    assert bench.log("c1.old") == ["one"]


async def test_unknown_container(bench: Bench) -> None:
    assert await bench.monitors.observe("none") == Observed(monitored=False)
    assert not await bench.monitors.signal("none", signal.SIGTERM)
    await bench.monitors.kill_all("none")
    await bench.monitors.forget("none")
    assert (await bench.monitors.exited("none")).monitor_lost
    with pytest.raises(FailedPrecondition, match="has no monitor"):
        await bench.monitors.reopen_log("none")


async def test_pod_init(bench: Bench) -> None:
    pins = {kind: str(bench.logs / kind) for kind in ("net", "ipc", "uts")}
    namespaces.pin_new(pins, hostname="a-pod", sysctls={})
    try:
        for hierarchy in bench.hierarchies:
            cgroupfs.make(hierarchy, f"{bench.parent}/init")
        pid = await bench.monitors.pod_init("s1", pins, f"{bench.parent}/init")
        for kind, path in pins.items():
            assert os.stat(f"/proc/{pid}/ns/{kind}").st_ino == os.stat(path).st_ino
        assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        assert pid in cgroupfs.processes(bench.hierarchies[0], f"{bench.parent}/init")
        assert (await process.run(["nsenter", f"--uts=/proc/{pid}/ns/uts", "hostname"])).stdout == b"a-pod\n"
        assert cgroupfs.kill(bench.hierarchies, f"{bench.parent}/init") == frozenset()
    finally:
        for path in pins.values():
            namespaces.unpin(path)
