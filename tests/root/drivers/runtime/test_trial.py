"""The trial of a runtime, with real ones: what it says, and that nothing of it stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from criserver.drivers.runtime.trial import document, refusal
from criserver.kernel import cgroupfs
from tests.root.drivers.conftest import crun_works
from tests.support.oci_schema import check


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert [path.name for path in tmp_path.iterdir() if path.name != "runtime"] == []
    assert list((tmp_path / "runtime").glob("*")) == []
    for hierarchy in cgroupfs.hierarchies():
        assert not [name for name in os.listdir(hierarchy.directory("/")) if name.startswith("criserver-trial")]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _line(path)]


def _line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def command(name: str, state: Path) -> tuple[str, ...]:
    return (name, "--root", f"{state}/runtime")


async def test_runc_works(state: Path) -> None:
    assert await refusal(command("runc", state), str(state), "cgroupfs") == ""


async def test_crun_works_or_tells_why_not(state: Path) -> None:
    words = await refusal(command("crun", state), str(state), "cgroupfs")
    assert words == "" if crun_works() else "cgroups in hybrid mode" in words


async def test_what_is_no_runtime_is_refused(state: Path) -> None:
    assert await refusal(("false",), str(state), "cgroupfs") == "exit status 1 without a word"
    assert await refusal(("/no/such/runtime",), str(state), "cgroupfs") == "exit status 127 without a word"


async def test_what_a_killed_trial_left_is_taken_away_first(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(*_: object) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr("criserver.drivers.runtime.trial._take_away", killed)
        assert await refusal(command("runc", state), str(state), "cgroupfs") == ""
    assert (state / "trial").exists() and list((state / "runtime").iterdir())
    assert await refusal(command("runc", state), str(state), "cgroupfs") == ""


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
def test_the_document_is_valid(schema: Any, driver: str) -> None:
    check(schema, document("name", driver))
