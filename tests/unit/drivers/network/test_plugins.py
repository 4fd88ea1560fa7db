import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from criserver.drivers.network.plugins import at_work, ended

ID = "5" * 64


@pytest.fixture
def plugin() -> Iterator[subprocess.Popen[bytes]]:
    """What a plugin looks like from outside, at work for a while."""
    process = subprocess.Popen(["sleep", "60"], env={"CNI_CONTAINERID": ID, "CNI_COMMAND": "ADD"})
    yield process
    process.kill()
    process.wait()


async def test_plugins_of_the_containers_are_waited_for(plugin: subprocess.Popen[bytes]) -> None:
    assert at_work(frozenset({f"CNI_CONTAINERID={ID}".encode()})) == {plugin.pid}
    waiting = asyncio.get_running_loop().create_task(ended([ID]))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    plugin.kill()
    plugin.wait()
    await asyncio.wait_for(waiting, 5)


async def test_a_plugin_that_hangs_is_killed(plugin: subprocess.Popen[bytes]) -> None:
    reaped = asyncio.get_running_loop().run_in_executor(None, plugin.wait)
    await asyncio.wait_for(ended([ID], patience=0), 5)
    assert await reaped == -9


async def test_others_are_let_alone(plugin: subprocess.Popen[bytes]) -> None:
    await asyncio.wait_for(ended([ID[:-1], "6" * 64], patience=0), 5)
    assert plugin.poll() is None
