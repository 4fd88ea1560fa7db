import asyncio
from dataclasses import replace

import pytest

from criserver.errors import AlreadyExists, FailedPrecondition, NotFound, RuntimeFailed
from criserver.model.container import ContainerState, ImageSpec, Mount
from criserver.model.security import Idmap
from tests.support.fakes import IMAGE, NOT_FOUND_COMMAND
from tests.support.world import MAPPED, House, container, mapped_pod, pod


async def test_a_container_lives_ends_and_is_gone(house: House) -> None:
    sandbox_id, container_id = await house.running()
    row = house.containers.get(container_id)
    assert row.state is ContainerState.RUNNING and row.started_at > row.created_at and row.pid == 4242
    house.world.exit(container_id, 7)
    assert await house.exits.wait(container_id, 5)
    row = house.containers.get(container_id)
    assert (row.state, row.exit_code, row.reason, row.finished_at) == (ContainerState.EXITED, 7, "Error", 99)
    await house.lives.remove(container_id)
    await house.pods.remove(sandbox_id)
    assert house.world.things == set()


async def test_a_pod_takes_its_containers_with_it(house: House) -> None:
    sandbox_id, container_id = await house.running()
    await house.pods.stop(sandbox_id)
    assert house.containers.get(container_id).exit_code == 137
    await house.pods.remove(sandbox_id)
    assert house.world.things == set() and len(house.containers) == 0


@pytest.mark.parametrize("method", ["Rootfs.mount", "Bundles.write", "Monitors.create", "Images.lease"])
async def test_a_step_that_fails_takes_all_earlier_ones_back(house: House, method: str) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    before = set(house.world.things)
    house.world.fail[method] = RuntimeFailed("runc says no")
    with pytest.raises(RuntimeFailed, match="runc says no"):
        await house.lives.create(sandbox_id, container())
    assert house.world.things == before and len(house.containers) == 0
    assert await house.journal.open_steps() == ()
    house.world.fail.clear()
    await house.lives.create(sandbox_id, container())


async def test_what_a_create_needs_is_asked_first(house: House) -> None:
    with pytest.raises(NotFound, match="pod sandbox 'nobody'"):
        await house.lives.create("nobody", container())
    sandbox_id = await house.pods.run(pod(), "")
    with pytest.raises(NotFound, match="pull it first"):
        await house.lives.create(sandbox_id, type(container())(container().metadata, ImageSpec("absent")))
    await house.pods.stop(sandbox_id)
    with pytest.raises(FailedPrecondition, match="NOTREADY"):
        await house.lives.create(sandbox_id, container())


async def test_names_are_taken_once_their_id_was_read(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    first = await house.lives.create(sandbox_id, container())
    assert await house.lives.create(sandbox_id, container()) == first
    house.lives.delivered(first)
    with pytest.raises(AlreadyExists, match=first):
        await house.lives.create(sandbox_id, container())


async def test_a_start_that_fails_leaves_an_ended_container_with_the_runtimes_words(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    house.world.fail["Runtime.start"] = NOT_FOUND_COMMAND
    with pytest.raises(RuntimeFailed, match="executable file not found"):
        await house.lives.start(container_id)
    row = house.containers.get(container_id)
    assert (row.state, row.exit_code, row.reason) == (ContainerState.EXITED, 128, "StartError")
    assert "executable file not found" in row.message
    with pytest.raises(FailedPrecondition):
        await house.lives.start(container_id)


async def test_stop_signals_waits_and_then_kills(house: House) -> None:
    _, container_id = await house.running()
    await house.lives.stop(container_id, 0.05)
    asked = [call[0] for call in house.world.calls if call[1] == container_id]
    assert asked.index("Monitors.signal") < asked.index("Monitors.kill_all")
    assert house.containers.get(container_id).exit_code == 137
    await house.lives.stop(container_id, 0.05)


async def test_a_second_stop_with_less_grace_counts_and_sends_no_second_signal(house: House) -> None:
    _, container_id = await house.running()
    patient = asyncio.get_running_loop().create_task(house.lives.stop(container_id, 60))
    await asyncio.sleep(0.01)
    await house.lives.stop(container_id, 0.01)
    await asyncio.wait_for(patient, 5)
    assert [call[0] for call in house.world.calls].count("Monitors.signal") == 1


async def test_a_created_container_is_stopped_without_a_signal(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    await house.lives.stop(container_id, 30)
    assert house.containers.get(container_id).state is ContainerState.EXITED


async def test_oom_has_its_own_reason(house: House) -> None:
    _, container_id = await house.running()
    house.world.exit(container_id, 137, oom=True)
    assert await house.exits.wait(container_id, 5)
    assert house.containers.get(container_id).reason == "OOMKilled"


async def test_only_a_running_containers_log_is_reopened(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    with pytest.raises(FailedPrecondition, match="CREATED"):
        await house.lives.reopen_log(container_id)


async def test_all_of_a_container_has_the_ids_of_its_pods_user_namespace(house: House) -> None:
    sandbox_id = await house.pods.run(mapped_pod(), "")
    wish = container(mounts=(Mount("/volume", image=ImageSpec(IMAGE.id)),))
    wish = replace(wish, security=replace(wish.security, run_as_user=5, run_as_group=6))
    container_id = await house.lives.create(sandbox_id, wish)
    idmap = Idmap(f"/ns/{sandbox_id}/user", MAPPED)
    assert house.world.idmaps == {container_id: idmap, f"{container_id}/0": idmap}
    (request,) = house.world.requests
    assert (request.stdio_uid, request.stdio_gid) == (100005, 200006), "the container may open its own streams"
    assert house.containers.get(container_id).user.uid == 5, "as the pod sees it"


async def test_a_container_of_any_other_pod_has_the_hosts_ids(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    assert house.world.idmaps == {container_id: None}
    assert (house.world.requests[0].stdio_uid, house.world.requests[0].stdio_gid) == (0, 0)
