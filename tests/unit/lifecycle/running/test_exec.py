"""ExecSync: only in what runs, as the container is, under its own runtime."""

from __future__ import annotations

import json
from typing import Any

import pytest

from criserver.errors import Ended, FailedPrecondition, InvalidArgument, NotFound, RuntimeFailed
from criserver.lifecycle.running.exec import OUTPUT_LIMIT, ExecService, fitted
from criserver.ports.monitor import ExecResult, Observed
from tests.support.fakes import FakeMonitors
from tests.support.world import House, container, pod


@pytest.fixture
def execs(house: House) -> ExecService:
    return ExecService(house.containers, house.powers)


async def test_the_command_runs_as_the_container_does(
    house: House, execs: ExecService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def exec_sync(_: Any, *args: Any, **more: Any) -> ExecResult:
        asked.append((args, more))
        return ExecResult(3, b"out", b"err")

    monkeypatch.setattr(FakeMonitors, "exec_sync", exec_sync)
    _, container_id = await house.running()
    result = await execs.exec_sync(container_id[:12], ("cat", "/etc/hostname"), 1.5)
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out", b"err")
    ((found, command, process), more) = asked[0]
    assert (found, command) == (container_id, ("/usr/sbin/runc",))
    assert more == {"timeout": 1.5, "limit": OUTPUT_LIMIT}
    own = (await house.powers.bundles.read(container_id))["process"]
    document = json.loads(process)
    assert document["args"] == ["cat", "/etc/hostname"] and document["terminal"] is False
    assert {key: document[key] for key in ("user", "cwd", "env")} == {key: own[key] for key in ("user", "cwd", "env")}


async def test_what_cannot_be_run(house: House, execs: ExecService) -> None:
    sandbox_id, running = await house.running()
    created = await house.lives.create(sandbox_id, container("other"))
    with pytest.raises(InvalidArgument, match="cmd: empty"):
        await execs.exec_sync(running, (), 0)
    with pytest.raises(InvalidArgument, match="cmd"):
        await execs.exec_sync(running, ("sh", "a\0b"), 0)
    with pytest.raises(FailedPrecondition, match=f"container {created} is CREATED"):
        await execs.exec_sync(created, ("true",), 0)
    with pytest.raises(NotFound, match="nobody"):
        await execs.exec_sync("nobody", ("true",), 0)


async def test_nothing_runs_in_what_has_ended(house: House, execs: ExecService) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    await house.lives.start(container_id)
    house.world.exit(container_id, 0)
    assert await house.exits.wait(container_id, 30)
    with pytest.raises(Ended, match="EXITED"):
        await execs.exec_sync(container_id, ("true",), 0)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_container_that_ends_meanwhile_is_told_from_a_runtime_that_fails(
    house: House, execs: ExecService, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    _, container_id = await house.running()
    house.world.observed[container_id] = Observed(pid=0 if ended else 7)

    async def exec_sync(*_: Any, **__: Any) -> ExecResult:
        raise RuntimeFailed("runc exec: no such thing")

    monkeypatch.setattr(FakeMonitors, "exec_sync", exec_sync)
    with pytest.raises(Ended if ended else RuntimeFailed, match="runc exec: no such thing"):
        await execs.exec_sync(container_id, ("true",), 0)


@pytest.mark.parametrize(
    ("out", "err", "kept"),
    [
        *[(3, 3, (3, 3)), (10, 0, (10, 0)), (11, 0, (10, 0)), (0, 11, (0, 10))],
        *[(99, 99, (5, 5)), (99, 3, (7, 3)), (3, 99, (3, 7))],
    ],
)
def test_both_streams_fit_into_one_message(out: int, err: int, kept: tuple[int, int]) -> None:
    result = fitted(ExecResult(0, b"o" * out, b"e" * err), 10)
    assert (len(result.stdout), len(result.stderr)) == kept
    assert result.truncated == (kept != (out, err))


@pytest.mark.parametrize("truncated", [False, True])
async def test_stderr_says_that_output_was_cut(
    house: House, execs: ExecService, monkeypatch: pytest.MonkeyPatch, truncated: bool
) -> None:
    async def exec_sync(*_: Any, **__: Any) -> ExecResult:
        return ExecResult(0, b"o" * (OUTPUT_LIMIT - 10 if truncated else 5), b"err\n", truncated)

    monkeypatch.setattr(FakeMonitors, "exec_sync", exec_sync)
    result = await execs.exec_sync((await house.running())[1], ("x",), 1)
    assert len(result.stdout) + len(result.stderr) <= OUTPUT_LIMIT
    assert result.stderr.startswith(b"err\n") and (b"was cut" in result.stderr) == truncated
