import asyncio

import pytest

from criserver.errors import AlreadyExists, FailedPrecondition, NetworkFailed
from criserver.model.sandbox import SandboxState
from criserver.model.security import NamespaceMode, NamespaceOptions, SandboxSecurity
from tests.support.world import House, mapped_pod, pod


async def test_a_pod_gets_all_that_it_needs_and_gives_it_back(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    row = house.sandboxes.get(sandbox_id)
    assert row.state is SandboxState.READY and row.ips == ("10.88.0.2",) and row.owns_cgroup
    assert await house.journal.open_steps() == ()
    await house.pods.stop(sandbox_id)
    assert house.sandboxes.get(sandbox_id).state is SandboxState.NOTREADY
    await house.pods.remove(sandbox_id)
    assert house.world.things == set() and len(house.sandboxes) == 0
    assert await house.journal.open_steps() == ()


async def test_stop_and_remove_may_be_repeated_and_know_no_unknown_ids(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    for _ in range(2):
        await house.pods.stop(sandbox_id)
    assert [call for call in house.world.calls if call[0] == "Network.remove"] == [("Network.remove", sandbox_id)]
    for _ in range(2):
        await house.pods.remove(sandbox_id)
    await house.pods.stop("nobody")


@pytest.mark.parametrize(
    "method", ["PodFiles.create", "Namespaces.pin", "Cgroups.ensure", "Network.add", "Monitors.pod_init"]
)
async def test_a_step_that_fails_takes_all_earlier_ones_back(house: House, method: str) -> None:
    house.world.fail[method] = NetworkFailed("no more addresses")
    with pytest.raises(NetworkFailed, match="no more addresses"):
        await house.pods.run(pod(pid=NamespaceMode.POD), "")
    assert house.world.things == set() and len(house.sandboxes) == 0
    assert await house.journal.open_steps() == ()
    house.world.fail.clear()
    await house.pods.run(pod(pid=NamespaceMode.POD), "")


async def test_what_cannot_be_undone_stays_in_the_journal_and_is_tried_again(house: House) -> None:
    house.world.fail["Network.add"] = NetworkFailed("add")
    house.world.fail["Network.remove"] = NetworkFailed("del")
    with pytest.raises(NetworkFailed, match="add"):
        await house.pods.run(pod(), "")
    assert [step.step for step in await house.journal.open_steps()] == ["network"]
    assert house.world.of("address") and not house.world.of("namespaces")
    house.world.fail.clear()
    await house.garbage.retry()
    assert not house.world.of("address") and await house.journal.open_steps() == ()


async def test_a_caller_that_gives_up_and_tries_again_gets_the_same_pod(house: House) -> None:
    house.world.slow["Network.add"] = asyncio.Event()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(house.pods.run(pod(), ""), 0.05)
    retry = asyncio.get_running_loop().create_task(house.pods.run(pod(), ""))
    await asyncio.sleep(0)
    house.world.slow["Network.add"].set()
    sandbox_id = await retry
    assert [row.id for row in house.sandboxes] == [sandbox_id]


async def test_a_result_that_nobody_read_is_given_to_the_retry(house: House) -> None:
    house.world.slow["Network.add"] = asyncio.Event()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(house.pods.run(pod(), ""), 0.05)
    house.world.slow["Network.add"].set()
    await house.tasks.drain(5)
    (row,) = house.sandboxes
    assert await house.pods.run(pod(), "") == row.id


async def test_a_result_under_another_runtime_or_configuration_is_not_what_was_asked(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    for config, handler in ((pod(), "crun"), (pod(hostname="other"), "")):
        with pytest.raises(AlreadyExists, match=sandbox_id):
            await house.pods.run(config, handler)
    assert await house.pods.run(pod(), "runc") == sandbox_id, "the default handler by its name"


async def test_a_name_whose_id_was_read_is_taken(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    house.pods.delivered(sandbox_id)
    with pytest.raises(AlreadyExists, match=sandbox_id):
        await house.pods.run(pod(), "")
    again = house.restarted() if await house.tasks.drain(5) == 0 else house
    with pytest.raises(AlreadyExists):
        await again.pods.run(pod(), "")
    again.database.close()
    house.__post_init__()


async def test_a_stop_that_fails_can_be_tried_again(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    house.world.fail["Network.remove"] = NetworkFailed("busy")
    with pytest.raises(NetworkFailed):
        await house.pods.stop(sandbox_id)
    assert house.sandboxes.get(sandbox_id).state is SandboxState.STOPPING
    house.world.fail.clear()
    await house.pods.stop(sandbox_id)
    assert house.sandboxes.get(sandbox_id).state is SandboxState.NOTREADY


async def test_a_pod_cgroup_of_somebody_else_stays(house: House) -> None:
    house.world.things.add(("cgroup", "/kubepods/pod1"))
    sandbox_id = await house.pods.run(pod(cgroup_parent="/kubepods/pod1"), "")
    await house.pods.remove(sandbox_id)
    assert house.world.things == {("cgroup", "/kubepods/pod1")}


async def test_a_host_network_pod_asks_no_plugin(house: House) -> None:
    options = NamespaceOptions(network=NamespaceMode.NODE, pid=NamespaceMode.CONTAINER)
    config = pod()
    host = type(config)(metadata=config.metadata, security=SandboxSecurity(namespace_options=options))
    sandbox_id = await house.pods.run(host, "")
    assert ("ns-net", sandbox_id) not in house.world.things
    await house.pods.remove(sandbox_id)
    assert not [call for call in house.world.calls if call[0].startswith("Network.")]


async def test_a_user_namespace_is_pinned_with_the_others_and_given_back(house: House) -> None:
    sandbox_id = await house.pods.run(mapped_pod(pid=NamespaceMode.POD), "")
    assert {kind for kind, _ in house.world.things if kind.startswith("ns-")} == {
        "ns-net", "ns-ipc", "ns-uts", "ns-pid", "ns-user",
    }  # fmt: skip
    assert set(house.world.joined) == {"net", "ipc", "uts", "user"}, "the pod init lives in it"
    await house.pods.remove(sandbox_id)
    assert house.world.things == set()


async def test_a_runtime_that_cannot_map_volumes_gets_no_pod_with_a_user_namespace(house: House) -> None:
    with pytest.raises(FailedPrecondition, match="userns_options.mode: POD, but .* 'old' the runtime is too old; use"):
        await house.pods.run(mapped_pod(), "old")
    assert house.world.calls == []
    await house.pods.run(pod(), "old")
