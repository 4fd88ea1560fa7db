"""kill -9 at every step of a pull and of a removal: the next start finds nothing that no row claims, and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.image_service import node
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

REFERENCE = "registry.k8s.io/crash:1"
NEVER = 1 << 30

VICTIM = f"""
import asyncio, os, signal, sys
from pathlib import Path
from criserver.state.db import Database
from tests.support.image_service import node

root, conf, action, fatal = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
steps = 0

def step():
    global steps
    steps += armed
    if steps == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

def audited(event, arguments):
    if event in ("os.mkdir", "os.rename", "os.rmdir", "os.remove", "os.chmod"):
        step()

def commit(self, transaction, then, _commit=Database._commit):
    step()
    result = _commit(self, transaction, then)
    step()
    return result

async def main():
    global armed
    async with node(root, conf) as server:
        armed = 1
        await (server.images.pull("{REFERENCE}") if action == "pull" else server.images.remove("{REFERENCE}"))

armed = 0
Database._commit = commit
sys.addaudithook(audited)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def conf(registry: Registry, registries_conf: Path) -> Path:
    registry.push("crash", image(busybox_tree(), {"b": file("b")}, {"c": file("c")}), "1")
    return registries_conf


def victim(root: Path, conf: Path, action: str, fatal: int) -> subprocess.Popen[bytes]:
    arguments = [str(root), str(conf), action, str(fatal)]
    return subprocess.Popen([sys.executable, "-c", VICTIM, *arguments], cwd=Path(__file__).parents[3])


async def assert_recovers(root: Path, conf: Path) -> None:
    async with node(root, conf) as server:
        listed = server.images.list()
        rows = {str(layer.number) for layer in server.repository.layers}
        assert server.layer_directories() == rows
        assert rows == {str(number) for each in listed for number in each.layers}
        assert server.workspaces() == set()
        for each in listed:
            assert (server.tree(each.id) / "bin/sh").exists()
        pulled = await server.images.pull(REFERENCE)
        assert (server.tree(pulled.id) / "bin/sh").exists()
        assert (server.tree(pulled.id, 2) / "c").read_text() == "c"


@pytest.mark.slow
@pytest.mark.parametrize("action", ["pull", "remove"])
async def test_at_every_step(tmp_path: Path, conf: Path, action: str) -> None:
    root = tmp_path / "root"
    await assert_recovers(root, conf)
    killed, fatal, status = 0, 1, -signal.SIGKILL
    while status:
        if action == "pull":
            async with node(root, conf) as server:
                await server.images.remove(REFERENCE)
        status = await asyncio.to_thread(victim(root, conf, action, fatal).wait)
        assert status in (0, -signal.SIGKILL)
        await assert_recovers(root, conf)
        killed += status != 0
        # Every commit and every directory is among the first; what follows are files of a tree, one like the other.
        fatal = fatal + 1 if fatal < 30 else fatal * 2
    assert killed > 15


@pytest.mark.slow
async def test_at_any_time_and_no_helper_lives_on(tmp_path: Path, conf: Path) -> None:
    root = tmp_path / "root"
    for milliseconds in range(300, 700, 25):
        process = victim(root, conf, "pull", NEVER)
        await asyncio.sleep(milliseconds / 1000)
        process.kill()
        await asyncio.to_thread(process.wait)
        assert await asyncio.to_thread(none_left, str(root))
        await assert_recovers(root, conf)
        async with node(root, conf) as server:
            await server.images.remove(REFERENCE)
            server.assert_empty()


def none_left(text: str) -> bool:
    """Whether within a minute no process has `text` in its command line any more."""
    deadline = time.monotonic() + 60
    while with_argument(text):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def with_argument(text: str) -> list[int]:
    """Processes with `text` in their command line, apart from this one."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and int(directory.name) != os.getpid():
            try:
                if text.encode() in (directory / "cmdline").read_bytes():
                    found.append(int(directory.name))
            except OSError:
                continue
    return found


async def test_an_image_that_lost_a_layer_is_dropped_and_others_stay(
    tmp_path: Path, conf: Path, registry: Registry
) -> None:
    registry.push("whole", image(busybox_tree(), {"other": file("x")}), "1")
    async with node(tmp_path / "root", conf) as server:
        damaged = await server.images.pull(REFERENCE)
        await server.images.lease(damaged.id, "container:c1")
        whole = await server.images.pull("registry.k8s.io/whole:1")
        server.tree(damaged.id, 2).rename(tmp_path / "taken")
    async with node(tmp_path / "root", conf) as server:
        assert [each.id for each in server.images.list()] == [whole.id]
        assert len(server.layer_directories()) == 2
        assert (await server.images.pull(REFERENCE)).id == damaged.id
