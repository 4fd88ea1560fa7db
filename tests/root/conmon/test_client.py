"""Containers through the client, under real runc and crun: logs, exits, takeover, loss, two zygotes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from conmon import process, protocol
from conmon.client import ConmonError, Monitor, PodInitSpec, Zygote
from conmon.records import read_exit


async def test_log_exit_and_nothing_left(world: Any) -> None:
    script = "echo out; echo err >&2; printf tail; exit 7"
    before = time.time_ns()
    ended, container = await world.run(["/bin/sh", "-c", script])
    assert (ended.exit_code, ended.signal, ended.oom_killed, ended.monitor) == (7, 0, False, "alive")
    assert before < ended.finished_at < time.time_ns()
    lines = container.contents()
    assert [line for line in lines if line[0] == "stdout"] == [("stdout", "F", "out"), ("stdout", "F", "tail")]
    assert [line for line in lines if line[0] == "stderr"] == [("stderr", "F", "err")]
    assert read_exit(container.directory / "exit.json") == ended
    await world.until(world.gone)
    assert {path.name for path in container.directory.iterdir()} == {"log", "exit.json", "state.json"}
    assert await world.zygote.children() == []


async def test_killed_container_says_its_signal(world: Any) -> None:
    container = await world.create(["/bin/sleep", "1000"])
    await world.start(container)
    os.kill(container.state.pid, signal.SIGKILL)
    ended = await asyncio.wait_for(container.monitor.wait(), 10)
    assert (ended.exit_code, ended.signal) == (137, 9)


async def test_long_lines_are_cut_and_joined(runc_world: Any) -> None:
    script = "/bin/yes x | /bin/busybox tr -d '\\n' | /bin/busybox head -c 40000; echo; echo short"
    _, container = await runc_world.run(["/bin/sh", "-c", script])
    lines = container.contents()
    assert all(len(text) <= 16384 for _, _, text in lines)
    assert [tag for _, tag, _ in lines][-2:] == ["F", "F"]
    assert "".join(text for _, _, text in lines) == "x" * 40000 + "short"


async def test_works_on_without_daemon_and_is_taken_over(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "/bin/sleep 1; echo late; exit 3"])
    await runc_world.start(container)
    container.monitor.close()
    other = Monitor(container.directory)
    state, ended = await other.state()
    assert (state, ended) == (container.state, None)
    assert (await asyncio.wait_for(other.wait(), 10)).exit_code == 3
    assert container.contents() == [("stdout", "F", "late")]
    late = Monitor(container.directory)
    assert (await late.wait()).exit_code == 3
    with pytest.raises(ConmonError, match="has ended"):
        await late.reopen()


async def test_dead_zygote_is_replaced_and_its_monitors_live_on(runc_world: Any) -> None:
    first = await runc_world.create(["/bin/sh", "-c", "/bin/sleep 1; exit 4"])
    await runc_world.start(first)
    old = (await runc_world.zygote.ping())["pid"]
    os.kill(int(str(old)), signal.SIGKILL)
    second = await runc_world.create(["/bin/sh", "-c", "exit 6"])
    assert (await runc_world.zygote.ping())["pid"] != old
    assert {child["id"] for child in await runc_world.zygote.children()} == {first.state.id, second.state.id}
    await runc_world.start(second)
    assert (await asyncio.wait_for(second.monitor.wait(), 10)).exit_code == 6
    assert (await asyncio.wait_for(first.monitor.wait(), 10)).exit_code == 4
    ended = read_exit(first.directory / "exit.json")
    assert ended and ended.monitor == "alive"


async def test_quit_ends_the_zygote_alone(runc_world: Any) -> None:
    container = await runc_world.create(["/bin/sh", "-c", "exit 2"])
    pid = int(str((await runc_world.zygote.ping())["pid"]))
    await runc_world.zygote.quit()
    await runc_world.until(lambda: not process.starttime(pid) or _state(pid) == "Z")
    await runc_world.start(container)
    assert (await asyncio.wait_for(container.monitor.wait(), 10)).exit_code == 2


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


async def test_directory_longer_than_a_socket_path(world: Any) -> None:
    deep = world.base / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True, mode=0o700)
    world.zygote = Zygote(deep / "zygote")
    container = await world.create(["/bin/sh", "-c", "exit 1"], directory=str(deep), log_path="")
    await world.start(container)
    assert (await asyncio.wait_for(container.monitor.wait(), 10)).exit_code == 1


async def test_fields_of_a_newer_client_are_ignored(runc_world: Any) -> None:
    spec = runc_world.spec(runc_world.bundle(["/bin/sleep", "1000"]))
    connection = await runc_world.zygote._connect(_Silent(), "containers.sock")
    message = {"id": spec.id, "directory": spec.directory, "bundle": spec.bundle, "runtime": list(spec.runtime)}
    reply, _ = await connection.request("", {**message, "newer": {"a": 1}}, kind=protocol.CONTAINER)
    assert reply["pid"]
    connection.post("keep")
    connection.close()


class _Silent:
    def event(self, message: protocol.Message) -> None: ...
    def data(self, kind: int, data: bytes) -> None: ...
    def lost(self) -> None: ...


def test_the_client_runs_on_uvloop(tmp_path: Path) -> None:
    """Transports are not used, so that any loop with add_reader will do."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    async def work() -> None:
        zygote = Zygote(tmp_path / "zygote")
        pid = int(str((await zygote.ping())["pid"]))
        with pytest.raises(ConmonError, match="net namespace /no: No such file"):
            await zygote.pod_init(PodInitSpec(id="x", net="/no"))
        await asyncio.gather(*(zygote.children() for _ in range(20)))
        os.kill(pid, signal.SIGKILL)
        assert (await zygote.ping())["pid"] != pid
        await zygote.quit()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
