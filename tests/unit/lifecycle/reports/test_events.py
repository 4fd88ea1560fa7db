import asyncio
from itertools import pairwise

import pytest

from criserver.errors import ResourceExhausted
from criserver.lifecycle.reports.events import Event, Events, EventType, Subscription, container_events, sandbox_events
from criserver.model.container import ContainerState as C
from criserver.model.sandbox import SandboxState as S
from criserver.model.transitions import CONTAINER, SANDBOX
from tests.support.world import House, container, pod
from tests.unit.observe.test_metrics import scraped

CREATED, STARTED, STOPPED, DELETED = EventType


def events(house: House, **more: int) -> Events:
    return Events(house.sandboxes, house.containers, house.powers.clock, house.metrics, **more)


async def take(listener: Subscription, count: int) -> list[Event]:
    async with asyncio.timeout(5):
        return [await anext(listener) for _ in range(count)]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, C.CREATING, ()),
        (C.CREATING, None, ()),
        (C.CREATING, C.CREATED, (CREATED,)),
        (C.CREATED, C.RUNNING, (STARTED,)),
        (C.CREATED, C.EXITED, (STOPPED,)),
        (C.RUNNING, C.EXITED, (STOPPED,)),
        (C.RUNNING, C.RUNNING, ()),
        (C.RUNNING, C.UNKNOWN, ()),
        (C.UNKNOWN, C.RUNNING, ()),
        (C.UNKNOWN, C.EXITED, (STOPPED,)),
        (C.EXITED, C.REMOVING, ()),
        (C.REMOVING, None, (DELETED,)),
        (None, None, ()),
    ],
)
def test_what_a_containers_change_means(old: C | None, new: C | None, told: tuple[EventType, ...]) -> None:
    assert container_events(old, new) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, S.CREATING, ()),
        (S.CREATING, None, ()),
        (S.CREATING, S.READY, (CREATED, STARTED)),
        (S.READY, S.STOPPING, ()),
        (S.STOPPING, S.NOTREADY, (STOPPED,)),
        (S.NOTREADY, S.NOTREADY, ()),
        (S.NOTREADY, S.REMOVING, ()),
        (S.REMOVING, None, (DELETED,)),
    ],
)
def test_what_a_sandboxs_change_means(old: S | None, new: S | None, told: tuple[EventType, ...]) -> None:
    assert sandbox_events(old, new) == told


def test_every_transition_has_at_most_one_meaning() -> None:
    for old, states in CONTAINER.items():
        assert all(len(container_events(old, new)) <= 1 for new in states)
    for sandbox, states_ in SANDBOX.items():
        assert all(DELETED not in sandbox_events(sandbox, new) for new in states_)


async def test_a_life_in_order_with_the_pod_as_it_was(house: House) -> None:
    bus = events(house)
    with bus.listen() as listener:
        sandbox_id, container_id = await house.running()
        house.world.exit(container_id, 3)
        await house.exits.wait(container_id, 5)
        await house.lives.remove(container_id)
        await house.pods.stop(sandbox_id)
        await house.pods.remove(sandbox_id)
        told = await take(listener, 8)
    assert [(event.type, event.subject) for event in told] == [
        (CREATED, sandbox_id), (STARTED, sandbox_id), (CREATED, container_id), (STARTED, container_id),
        (STOPPED, container_id), (DELETED, container_id), (STOPPED, sandbox_id), (DELETED, sandbox_id),
    ]  # fmt: skip
    states = [[row.state for row in event.containers] for event in told]
    assert states == [[], [], [C.CREATED], [C.RUNNING], [C.EXITED], [], [], []]
    assert told[4].containers[0].exit_code == 3
    assert [event.sandbox.state if event.sandbox else None for event in told[5:]] == [S.READY, S.NOTREADY, None]
    assert all(one.created_at < other.created_at for one, other in pairwise(told))


async def test_every_listener_hears_it_and_only_what_comes_after(house: House) -> None:
    bus = events(house)
    await house.pods.run(pod("before"), "")
    with bus.listen() as one, bus.listen() as other:
        await house.pods.run(pod("after"), "")
        assert [event.type for event in await take(one, 2)] == [CREATED, STARTED]
        (event, _) = await take(other, 2)
        assert event.sandbox is not None
        assert event.sandbox.config.metadata.name == "after"


async def test_time_never_goes_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = events(house)
    monkeypatch.setattr(house.powers.clock, "now", lambda: 5)
    with bus.listen() as listener:
        await house.pods.run(pod(), "")
        assert [event.created_at for event in await take(listener, 2)] == [5, 6]


async def test_a_listener_that_falls_behind_is_cut_off_and_the_others_are_not(house: House) -> None:
    bus = events(house, backlog=3)
    with bus.listen() as slow, bus.listen() as quick:
        sandbox_id = await house.pods.run(pod(), "")
        await take(quick, 2)
        await house.lives.create(sandbox_id, container("one"))
        await house.lives.create(sandbox_id, container("two"))
        assert [event.type for event in await take(quick, 2)] == [CREATED, CREATED]
        with pytest.raises(ResourceExhausted, match="3 events behind"):
            await take(slow, 1)
    assert bus.dropped == 1
    assert scraped(house.metrics)["criserver_events_dropped_total",] == 1


async def test_who_has_gone_is_forgotten(house: House) -> None:
    bus = events(house, backlog=1)
    with bus.listen():
        pass
    await house.pods.run(pod(), "")
    assert bus.dropped == 0


async def test_the_end_comes_after_what_waits(house: House) -> None:
    bus = events(house)
    with bus.listen() as listener:
        await house.pods.run(pod(), "")
        await asyncio.sleep(0)
        bus.close()
        assert [event.type async for event in listener] == [CREATED, STARTED]
    with bus.listen() as late:
        assert [event async for event in late] == []


async def test_a_create_that_fails_is_no_event(house: House) -> None:
    bus = events(house)
    house.world.fail["Network.add"] = RuntimeError("no")
    with bus.listen() as listener:
        with pytest.raises(RuntimeError):
            await house.pods.run(pod(), "")
        bus.close()
        assert [event async for event in listener] == []
