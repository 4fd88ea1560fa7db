import itertools

import pytest

from criserver.lifecycle.mending.recovery import Action, decide
from criserver.model.container import ContainerState
from criserver.model.sandbox import SandboxState
from criserver.ports.monitor import ExitRecord, Observed
from tests.support.world import House, container, mapped_pod, pod

GONE, WAITS, RUNS = Observed(monitored=False), Observed(pid=5, started=False), Observed(pid=5)
ENDED = Observed(exited=ExitRecord(7, 99))


@pytest.mark.parametrize(
    ("state", "seen", "action"),
    [
        (ContainerState.CREATED, WAITS, Action.WATCH),
        (ContainerState.CREATED, RUNS, Action.MARK_RUNNING),
        (ContainerState.CREATED, ENDED, Action.SETTLE),
        (ContainerState.CREATED, GONE, Action.LOST),
        (ContainerState.RUNNING, RUNS, Action.WATCH),
        (ContainerState.RUNNING, ENDED, Action.SETTLE),
        (ContainerState.RUNNING, GONE, Action.LOST),
        (ContainerState.EXITED, GONE, Action.KEEP),
        (ContainerState.EXITED, ENDED, Action.KEEP),
        (ContainerState.REMOVING, RUNS, Action.REMOVE),
    ],
)
def test_the_decision_table(state: ContainerState, seen: Observed, action: Action) -> None:
    assert decide(state, seen) is action


def test_every_pair_has_a_decision() -> None:
    for state, seen in itertools.product(ContainerState, (GONE, WAITS, RUNS, ENDED)):
        assert isinstance(decide(state, seen), Action)


async def test_a_restart_keeps_what_runs_and_tells_what_has_ended(house: House) -> None:
    sandbox_id, running = await house.running()
    ended = await house.lives.create(sandbox_id, container("job"))
    await house.lives.start(ended)
    house.world.observed = {running: RUNS, ended: ENDED}
    house.world.exits.clear()
    again = house.restarted()
    await again.recovery.run()
    await again.garbage.run()
    assert again.containers.get(running).state is ContainerState.RUNNING
    row = again.containers.get(ended)
    assert (row.state, row.exit_code, row.finished_at) == (ContainerState.EXITED, 7, 99)
    again.world.exit(running, 0)
    assert await again.exits.wait(running, 5)
    await again.pods.remove(sandbox_id)
    assert again.world.things == set()
    await again.tasks.drain(5)
    again.database.close()
    house.__post_init__()


@pytest.mark.parametrize("method", ["Namespaces.pin", "Cgroups.ensure", "Network.add", "Monitors.create"])
async def test_a_create_that_died_half_way_leaves_nothing(house: House, method: str) -> None:
    import asyncio

    sandbox_id = ""
    if method == "Monitors.create":
        sandbox_id = await house.pods.run(pod("other"), "")
    house.world.slow[method] = asyncio.Event()
    work = house.lives.create(sandbox_id, container()) if sandbox_id else house.pods.run(pod(), "")
    task = asyncio.get_running_loop().create_task(work)
    while method not in [call[0] for call in house.world.calls]:
        await asyncio.sleep(0.001)
    before_death = house.path / "dead.db"
    await house.database.write(lambda connection: None)
    connection_copy = house.database.read("SELECT count(*) FROM journal")
    assert connection_copy[0][0] != 0, before_death
    # The old server's task never runs again: it is as dead as its process would be.
    again = house.restarted()
    house.world.slow.clear()
    await again.recovery.run()
    await again.garbage.run()
    left = {thing for thing in again.world.things if thing[1] != sandbox_id and thing[1] != f"/pods/{sandbox_id}"}
    assert left == set()
    assert await again.journal.open_steps() == ()
    assert len(again.containers) == 0
    assert [row.id for row in again.sandboxes] == ([sandbox_id] if sandbox_id else [])
    task.cancel()
    await again.tasks.drain(5)
    again.database.close()
    house.__post_init__()


async def test_a_pod_that_lost_its_namespaces_is_stopped(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    house.world.things = {thing for thing in house.world.things if not thing[0].startswith(("ns", "namespaces"))}
    again = house.restarted()
    await again.recovery.run()
    await again.tasks.drain(5)
    assert again.sandboxes.get(sandbox_id).state is SandboxState.NOTREADY
    assert not again.world.of("address")
    again.database.close()
    house.__post_init__()


@pytest.mark.parametrize("lost", ["ns-user", "ns-net", "ns-uts"])
async def test_every_namespace_of_a_pod_counts(house: House, lost: str) -> None:
    sandbox_id = await house.pods.run(mapped_pod(), "")
    house.world.things.discard((lost, sandbox_id))
    again = house.restarted()
    await again.recovery.run()
    await again.tasks.drain(5)
    assert again.sandboxes.get(sandbox_id).state is SandboxState.NOTREADY
    again.database.close()
    house.__post_init__()


async def test_a_damaged_row_is_set_aside_and_what_it_had_is_given_back(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    await house.database.write(lambda connection: connection.execute("UPDATE sandboxes SET record = x'7b'"))
    again = house.restarted()
    await again.recovery.run()
    await again.garbage.run()
    assert len(again.sandboxes) == 0
    assert again.database.read("SELECT id FROM damaged") == [(sandbox_id,)]
    assert not again.world.of("namespaces") and not again.world.of("address")
    await again.pods.run(pod(), "")
    again.database.close()
    house.__post_init__()


async def test_containers_of_a_damaged_pod_go_with_it(house: House, caplog: pytest.LogCaptureFixture) -> None:
    sandbox_id, container_id = await house.running()
    kept = await house.pods.run(pod("kept"), "")
    await house.database.write(
        lambda connection: connection.execute("UPDATE sandboxes SET record = x'7b' WHERE id = ?", (sandbox_id,))
    )
    again = house.restarted()
    await again.recovery.run()
    await again.garbage.run()
    assert [row.id for row in again.sandboxes] == [kept] and len(again.containers) == 0
    assert {key for (key,) in again.database.read("SELECT id FROM damaged")} == {sandbox_id, container_id}
    assert again.recovery.image_holders() == ()
    assert ("Monitors.kill_all", container_id) in house.world.calls
    assert not [thing for thing in house.world.things if sandbox_id in thing[1] or container_id in thing[1]]
    assert f"container {container_id} is set aside: its pod sandbox {sandbox_id} is damaged" in caplog.text
    third = again.restarted()
    await third.recovery.run()
    assert [row.id for row in third.sandboxes] == [kept]
    third.database.close()
    house.__post_init__()


async def test_a_damaged_container_goes_alone(house: House) -> None:
    sandbox_id, container_id = await house.running()
    await house.database.write(lambda connection: connection.execute("UPDATE containers SET record = x'7b'"))
    again = house.restarted()
    await again.recovery.run()
    await again.garbage.run()
    assert [row.id for row in again.sandboxes] == [sandbox_id] and len(again.containers) == 0
    assert ("Monitors.kill_all", container_id) in house.world.calls and not house.world.of("monitor")
    await again.lives.create(sandbox_id, container())
    await again.close()
    house.__post_init__()
