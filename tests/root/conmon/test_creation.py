"""A container that cannot be created, or is given up: words of the one who refuses, and nothing left."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from conmon.client import ConmonError
from conmon.records import read_state


async def test_runtimes_own_words_and_no_trace(world: Any) -> None:
    spec = world.spec(world.bundle(["/no/such/command"]))
    with pytest.raises(ConmonError, match="no/such/command"):
        await world.zygote.create_container(spec)
    await world.until(world.gone)
    assert list(Path(spec.directory).iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("log_path", "/nonexistent/directory/log", "/nonexistent/directory/log"),
        ("runtime", ("/no/such/runtime",), "/no/such/runtime"),
        ("bundle", "/no/such/bundle", "bundle"),
        ("id", "../x", "'id'"),
        ("directory", "/no/such/directory", "/no/such/directory"),
    ],
)
async def test_bad_input_is_named(runc_world: Any, field: str, value: Any, words: str) -> None:
    spec = dataclasses.replace(runc_world.spec(runc_world.bundle(["/bin/sh"])), **{field: value})
    with pytest.raises(ConmonError, match=re.escape(words)):
        await runc_world.zygote.create_container(spec)
    await runc_world.until(runc_world.gone)
    directory = Path(spec.directory)
    assert not directory.exists() or list(directory.iterdir()) == []


async def test_log_path_that_is_no_regular_file(runc_world: Any) -> None:
    target = runc_world.base / "elsewhere"
    for make in (lambda path: os.symlink(target, path), os.mkfifo):
        spec = runc_world.spec(runc_world.bundle(["/bin/sh"]))
        make(spec.log_path)
        with pytest.raises(ConmonError, match="cannot open log file"):
            await runc_world.zygote.create_container(spec)
        os.unlink(spec.log_path)
    assert not target.exists()


@pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.05, 0.1])
async def test_cancelled_create_leaves_nothing(runc_world: Any, after: float) -> None:
    spec = runc_world.spec(runc_world.bundle(["/bin/sleep", "1000"]))
    task = asyncio.get_running_loop().create_task(runc_world.zygote.create_container(spec))
    await asyncio.sleep(after)
    if task.done():
        assert read_state(spec.directory)
        return
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(Path(spec.directory).iterdir()) == []
    roots = runc_world.base.parent / "runtime"
    assert not roots.exists() or list(roots.iterdir()) == []
    await runc_world.until(runc_world.gone)
    assert await runc_world.zygote.children() == []


async def test_monitor_killed_while_it_creates(runc_world: Any) -> None:
    slow = runc_world.base / "slow-runc"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *create*) sleep 0.5;; esac\nexec {runc_world.runtime[0]} "$@"\n')
    slow.chmod(0o700)
    spec = runc_world.spec(runc_world.bundle(["/bin/sleep", "1000"]), runtime=(str(slow), *runc_world.runtime[1:]))
    creating = asyncio.get_running_loop().create_task(runc_world.zygote.create_container(spec))
    monitors: list[int] = []
    while not monitors:
        await asyncio.sleep(0.02)
        monitors = [
            parent(int(str(child["pid"])))
            for child in await runc_world.zygote.children()
            if child["kind"] == "creation"
        ]
    os.kill(monitors[0], signal.SIGKILL)
    with pytest.raises(ConmonError, match="its monitor was killed"):
        await creating
    await runc_world.until(runc_world.gone)
    assert list(Path(spec.directory).iterdir()) == []


def parent(pid: int) -> int:
    """The parent of *pid*."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
