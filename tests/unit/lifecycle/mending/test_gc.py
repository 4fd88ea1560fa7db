"""What no row claims is given back whole, and what one claims is left alone."""

from __future__ import annotations

import logging

import pytest

from criserver.errors import FailedPrecondition, NetworkFailed
from criserver.lifecycle.running.container_steps import image_holder
from criserver.lifecycle.running.pod_steps import NETWORK
from criserver.state.journal import Step
from tests.support.world import House

POD, CONTAINER = "f" * 64, "e" * 64


def strew(house: House) -> None:
    """Everything of a pod and of a container that no row knows of."""
    house.world.things |= {
        ("files", POD), ("namespaces", POD), ("ns-net", POD), ("address", POD),
        ("cgroup", f"/pods/{POD}"), ("cgroup", f"/pods/{POD}/init"),
        ("monitor", CONTAINER), ("rootfs", CONTAINER), ("bundle", CONTAINER), ("lease", image_holder(CONTAINER)),
    }  # fmt: skip


async def test_everything_that_nobody_claims_goes_and_all_else_stays(house: House) -> None:
    await house.running()
    before = set(house.world.things)
    strew(house)
    await house.garbage.run()
    assert house.world.things == before
    calls = len(house.world.calls)
    await house.garbage.run()
    assert house.world.calls[calls:] == [], "a second sweep finds nothing to do"


async def test_a_container_that_nobody_claims_is_killed_before_its_monitor_goes(house: House) -> None:
    strew(house)
    await house.garbage.run()
    order = [name for name, key in house.world.calls if key == CONTAINER]
    assert order[:3] == ["Monitors.kill_all", "Runtime.delete", "Monitors.forget"]
    assert order.index("Monitors.forget") < order.index("Rootfs.remove") < order.index("Bundles.remove")


async def test_a_pod_init_that_nobody_claims_is_killed(house: House) -> None:
    strew(house)
    await house.garbage.run()
    order = [key for name, key in house.world.calls if name in ("Cgroups.kill", "Cgroups.remove")]
    assert order == [f"/pods/{POD}/init", f"/pods/{POD}/init", f"/pods/{POD}"]


async def test_the_image_lease_of_a_bundle_without_a_row_is_released(house: House) -> None:
    house.world.things |= {("bundle", CONTAINER), ("lease", image_holder(CONTAINER))}
    await house.garbage.run()
    assert house.world.things == set()


async def test_a_pod_in_a_cgroup_of_the_kubelets_leaves_that_alone(house: House) -> None:
    house.world.things |= {("files", POD), ("cgroup", "/kubepods/pod1")}
    await house.garbage.run()
    assert house.world.things == {("cgroup", "/kubepods/pod1")}
    assert [name for name, _ in house.world.calls] == ["PodFiles.remove"]


async def test_a_failure_is_told_and_does_not_end_the_sweep(house: House, caplog: pytest.LogCaptureFixture) -> None:
    strew(house)
    house.world.fail["Monitors.kill_all"] = FailedPrecondition("pid 7 survives SIGKILL")
    house.world.fail["Cgroups.remove"] = FailedPrecondition("still has processes 8")
    await house.garbage.run()
    left = {kind for kind, _ in house.world.things}
    assert left == {"monitor", "files", "cgroup"}, "files name the pod for the next sweep"
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        f"cannot give back monitor {CONTAINER}: pid 7 survives SIGKILL",
        f"cannot give back pod files {POD}: still has processes 8",
    ]
    house.world.fail.clear()
    await house.garbage.run()
    assert house.world.things == set()


async def test_the_network_is_given_back_while_the_namespace_is_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bridge plugin finds the addresses of its masquerading rules inside; without it they stay behind.
    strew(house)
    seen: list[bool] = []

    async def gc(alive: frozenset[str]) -> None:
        seen.append(("ns-net", POD) in house.world.things)

    monkeypatch.setattr(house.powers.network, "gc", gc)
    await house.garbage.run()
    assert seen == [True] and not house.world.of("ns-net")


async def test_a_network_that_fails_does_not_stop_the_start(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gc(alive: frozenset[str]) -> None:
        raise NetworkFailed("plugin: no")

    monkeypatch.setattr(house.powers.network, "gc", gc)
    await house.garbage.run()
    assert "network garbage is left: plugin: no" in caplog.text


async def test_retry_undoes_steps_whose_row_is_gone_and_no_others(house: House) -> None:
    sandbox_id, _ = await house.running()
    claimed = Step("RunPodSandbox", sandbox_id, "cgroup", f"/pods/{sandbox_id}")
    delete = Step("RemovePodSandbox", POD, "files")
    gone = Step("RunPodSandbox", POD, "cgroup", f"/pods/{POD}")
    for step in (claimed, delete, gone):
        await house.journal.record(step)
    house.world.things |= {("cgroup", f"/pods/{POD}"), ("files", POD)}
    await house.garbage.retry()
    assert ("cgroup", f"/pods/{POD}") not in house.world.things
    assert {("cgroup", f"/pods/{sandbox_id}"), ("files", POD)} <= house.world.things
    assert set(await house.journal.open_steps()) == {claimed, delete}


async def test_a_journal_that_cannot_be_read_is_kept(house: House, caplog: pytest.LogCaptureFixture) -> None:
    step = Step("RunPodSandbox", POD, NETWORK, "{")
    await house.journal.record(step)
    await house.garbage.retry()
    assert await house.journal.open_steps() == (step,)
    assert "cannot undo network" in caplog.text
