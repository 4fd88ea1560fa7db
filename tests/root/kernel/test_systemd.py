"""Transient units of the machine's own systemd, made, changed and stopped over D-Bus."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import pytest

from criserver.errors import Internal, Unavailable
from criserver.kernel import systemd
from criserver.kernel.systemd import Systemd

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/run/systemd/system"), reason="systemd does not run here: hack/vm has a machine where it does"
)


@pytest.fixture
def unit() -> Iterator[str]:
    """The name of a slice that is gone in the end."""
    name = f"criservertest{os.getpid()}x{os.urandom(3).hex()}.slice"
    yield name
    assert state(name) == "inactive"
    assert not systemctl("list-units", "--all", "--no-legend", name)


def state(unit: str) -> str:
    return shown(unit, "ActiveState")


def shown(unit: str, what: str) -> str:
    return systemctl("show", "--value", "-p", what, unit)


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True).stdout.strip()


async def test_a_slice_is_there_when_start_returns_and_gone_when_stop_does(unit: str) -> None:
    manager = Systemd()
    assert await manager.start(unit, [("MemoryMax", "t", 64 << 20), ("DefaultDependencies", "b", False)])
    assert (state(unit), shown(unit, "MemoryMax")) == ("active", str(64 << 20))
    assert not await manager.start(unit, [])
    await manager.set_properties(unit, [("MemoryMax", "t", 32 << 20)])
    systemctl("daemon-reload")
    assert shown(unit, "MemoryMax") == str(32 << 20)
    for _ in range(2):
        await manager.stop(unit)
        assert state(unit) == "inactive"
    manager.close()


async def test_many_at_once(unit: str) -> None:
    manager = Systemd()
    names = [unit.replace("x", f"x{number}x") for number in range(10)]
    assert await asyncio.gather(*(manager.start(name, []) for name in names)) == [True] * 10
    assert {state(name) for name in names} == {"active"}
    await asyncio.gather(*(manager.stop(name) for name in names))
    assert {state(name) for name in names} == {"inactive"}
    manager.close()


async def test_refusals_have_systemds_words() -> None:
    manager = Systemd()
    with pytest.raises(Internal, match=r"systemd cannot start a\.nonsense: Invalid unit name or type"):
        await manager.start("a.nonsense", [])
    with pytest.raises(Internal, match=r"cannot start criservertest\.slice: .*NoSuchProperty"):
        await manager.start("criservertest.slice", [("NoSuchProperty", "b", True)])
    manager.close()


async def test_a_lost_connection_is_made_again(unit: str) -> None:
    manager = Systemd()
    assert await manager.start(unit, [])
    manager.close()
    await manager.stop(unit)
    manager.close()


async def test_no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "SOCKET", "/nowhere/bus")
    with pytest.raises(Unavailable, match="cannot stop a.slice: no connection to it over /nowhere/bus"):
        await Systemd().stop("a.slice")
