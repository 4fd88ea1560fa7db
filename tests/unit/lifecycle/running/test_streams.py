"""Who may exec, attach and forward, and what is opened for them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument, NotFound
from criserver.lifecycle.running.streams import Attach, Exec, Forward, StreamService
from criserver.model.security import NamespaceMode, NamespaceOptions, SandboxSecurity
from criserver.ports.monitor import ExitRecord, Observed
from criserver.ports.streams import Wanted
from tests.support.world import House, container, pod

OUT = Wanted(stdout=True)


class FakeStreams:
    """Remembers what is opened."""

    def __init__(self) -> None:
        self.opened: list[Any] = []

    async def exec(self, container_id: str, command: tuple[str, ...], process: str, wanted: Wanted) -> Any:
        self.opened.append((container_id, command, json.loads(process), wanted))
        return "process", "stdio"

    async def attach(self, container_id: str, wanted: Wanted) -> Any:
        self.opened.append((container_id, wanted))
        return "attachment"

    async def connect(self, netns: str, port: int) -> int:
        self.opened.append((netns, port))
        return 99


def service(house: House, streams: FakeStreams | None = None) -> StreamService:
    return StreamService(house.sandboxes, house.containers, house.powers, streams or FakeStreams())


async def test_admission_completes_ids(house: House) -> None:
    pod_id, container_id = await house.running()
    streams = service(house)
    assert streams.admit(Exec(container_id[:12], ("x",), OUT)) == Exec(container_id, ("x",), OUT)
    assert streams.admit(Attach(container_id[:12], OUT)) == Attach(container_id, OUT)
    assert streams.admit(Forward(pod_id[:12], (80,))) == Forward(pod_id, (80,))


@pytest.mark.parametrize(
    ("wanted", "command", "words"),
    [
        (Wanted(), ("x",), "stdin, stdout, stderr: none is asked for"),
        (Wanted(tty=True, stdout=True, stderr=True), ("x",), "tty and stderr"),
        (OUT, (), "cmd: empty"),
    ],
)
async def test_what_has_no_meaning(house: House, wanted: Wanted, command: tuple[str, ...], words: str) -> None:
    _, container_id = await house.running()
    with pytest.raises(InvalidArgument, match=words):
        service(house).admit(Exec(container_id, command, wanted))


async def test_only_what_runs_has_streams(house: House) -> None:
    pod_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(pod_id, container())
    streams = service(house)
    with pytest.raises(FailedPrecondition, match="is CREATED: only a running one has streams"):
        streams.admit(Exec(container_id, ("x",), OUT))
    with pytest.raises(FailedPrecondition, match="only a running one"):
        await streams.attach(Attach(container_id, OUT))
    await house.pods.stop(pod_id)
    with pytest.raises(FailedPrecondition, match="only a ready one takes connections"):
        streams.admit(Forward(pod_id))
    with pytest.raises(FailedPrecondition, match="only a ready one takes connections"):
        await streams.connect(pod_id, 80)
    with pytest.raises(NotFound):
        streams.admit(Forward("nothing"))


async def test_what_is_opened(house: House) -> None:
    pod_id, container_id = await house.running()
    fake = FakeStreams()
    streams = service(house, fake)
    wanted = Wanted(stdin=True, stdout=True, tty=True)
    await streams.exec(Exec(container_id, ("sh", "-i"), wanted))
    opened, _, process, asked = fake.opened.pop()
    assert (opened, asked) == (container_id, wanted)
    assert process["args"] == ["sh", "-i"]
    assert process["terminal"] is True
    await streams.attach(Attach(container_id, OUT))
    assert fake.opened.pop() == (container_id, OUT)
    assert await streams.connect(pod_id, 80) == 99
    assert fake.opened.pop() == (house.powers.namespaces.path(pod_id, "net"), 80)
    assert await streams.runs(container_id)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(streams.ended(container_id), 0.02)
    house.world.observed[container_id] = Observed(exited=ExitRecord(0, 1))
    assert not await streams.runs(container_id)


async def test_host_network_pods_are_reached_from_here(house: House) -> None:
    options = NamespaceOptions(network=NamespaceMode.NODE)
    config = replace(pod(), security=SandboxSecurity(namespace_options=options))
    pod_id = await house.pods.run(config, "")
    fake = FakeStreams()
    await service(house, fake).connect(pod_id, 80)
    assert fake.opened == [("", 80)]
