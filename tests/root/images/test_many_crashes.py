"""kill -9 at any time during fifty pulls and removals: what is listed is whole, and nothing lies there unclaimed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.root.images.test_crash import none_left
from tests.support.image_service import node
from tests.support.images import file, image
from tests.support.registry import Registry

pytest_plugins = ("tests.support.image_fixtures",)

IMAGES = 10

VICTIM = f"""
import asyncio, random, sys
from pathlib import Path
from tests.support.image_service import node

async def main():
    async with node(Path(sys.argv[1]), sys.argv[2]) as server:
        async def work(number):
            name = f"registry.k8s.io/many-{{number % {IMAGES}}}:1"
            await server.images.pull(name)
            if random.random() < 0.5:
                await server.images.remove(name)
        print("begun", flush=True)
        await asyncio.gather(*(work(number) for number in range(50)), return_exceptions=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_fifty_pulls_and_removals_cut_at_any_time(
    tmp_path: Path, registry: Registry, registries_conf: Path
) -> None:
    base = {f"base/{n}": file(f"{n}" * 1000) for n in range(300)}
    for number in range(IMAGES):
        registry.push(f"many-{number}", image(base, {f"own/{n}": file(f"{number}") for n in range(50)}), "1")
    root = tmp_path / "root"
    for _ in range(12):
        await asyncio.to_thread(killed, root, registries_conf, random.uniform(0.05, 2.5))
        assert await asyncio.to_thread(none_left, str(root))
        await assert_in_order(root, registries_conf)


def killed(root: Path, conf: Path, seconds: float) -> None:
    """Work on images for some time, and die."""
    command = [sys.executable, "-c", VICTIM, str(root), str(conf)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()


async def assert_in_order(root: Path, conf: Path) -> None:
    async with node(root, conf) as server:
        rows = {str(layer.number) for layer in server.repository.layers}
        assert server.layer_directories() == rows
        assert rows == {str(number) for each in server.images.list() for number in each.layers}
        assert server.workspaces() == set()
        for each in server.images.list():
            assert len(list(server.tree(each.id).glob("base/*"))) == 300
            assert len(list(server.tree(each.id, 1).glob("own/*"))) == 50
