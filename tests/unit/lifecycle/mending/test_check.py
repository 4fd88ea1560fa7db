"""A check over fakes: two looks, owners by name, and a repair that touches nothing that a row claims."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from criserver.errors import FailedPrecondition
from criserver.lifecycle.forward import STOP_POD
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.mending.check import Checker
from criserver.model.container import ContainerState
from criserver.model.findings import Finding, Kind, Thing, Verdict
from criserver.model.sandbox import SandboxState
from criserver.state.journal import Step
from tests.support.world import House

GONE = "f" * 64


@dataclass
class FakeInventory:
    """One list of things per look; the last one stays."""

    looks: list[list[Thing]] = field(default_factory=lambda: [[]])

    async def things(self) -> tuple[Thing, ...]:
        return tuple(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])


class NoImages(ImageCheck):
    """Images in order."""

    def __init__(self) -> None:
        pass

    async def check(self, pause: float) -> tuple[Finding, ...]:
        return ()

    async def repair(self, findings: Collection[Finding]) -> list[str]:
        return []


@pytest.fixture
def inventory() -> FakeInventory:
    return FakeInventory()


@pytest.fixture
def checker(house: House, inventory: FakeInventory) -> Checker:
    return Checker(
        house.sandboxes, house.containers, house.journal, house.powers, inventory, NoImages(), house.garbage,
        house.operations, pause=0,
    )  # fmt: skip


def everything(sandbox_id: str, container_id: str) -> list[Thing]:
    pod = [Kind.NET, Kind.IPC, Kind.UTS, Kind.SHM, Kind.POD_FILES, Kind.ATTACHMENT, Kind.ADDRESS, Kind.POD_CGROUP]
    container = [
        Kind.MONITOR, Kind.MONITOR_FILES, Kind.BUNDLE, Kind.ROOT, Kind.WRITABLE, Kind.CGROUP, Kind.RUNTIME
    ]  # fmt: skip
    return [*(Thing(kind, sandbox_id, "/") for kind in pod), *(Thing(kind, container_id, "/") for kind in container)]


async def verdicts(checker: Checker) -> list[tuple[Verdict, str, str]]:
    return [(each.verdict, each.what, each.owner) for each in (await checker.check()).findings]


async def test_a_healthy_node(house: House, checker: Checker, inventory: FakeInventory) -> None:
    assert await verdicts(checker) == []
    inventory.looks = [everything(*await house.running())]
    assert await verdicts(checker) == []


async def test_what_is_missing_has_its_owners_name(house: House, checker: Checker, inventory: FakeInventory) -> None:
    things = everything(*await house.running())
    inventory.looks = [[thing for thing in things if thing.kind not in (Kind.NET, Kind.ROOT)]]
    assert await verdicts(checker) == [
        (Verdict.MISSING, "network namespace", "default/web"),
        (Verdict.MISSING, "root mount", "default/web/main"),
    ]


async def test_what_is_over_at_the_second_look_is_not_told(checker: Checker, inventory: FakeInventory) -> None:
    stray, other = Thing(Kind.ROOT, GONE, "/x"), Thing(Kind.BUNDLE, GONE, "/y")
    inventory.looks = [[stray], [other]]
    assert await verdicts(checker) == []
    inventory.looks = [[stray, other], [stray]]
    assert await verdicts(checker) == [(Verdict.LEFT_OVER, "root mount", GONE[:13])]


async def test_left_overs_are_given_back_and_rows_keep_theirs(
    house: House, checker: Checker, inventory: FakeInventory
) -> None:
    sandbox_id, container_id = await house.running()
    before = set(house.world.things)
    house.world.things |= {("rootfs", GONE), ("monitor", GONE), ("ns-net", GONE), ("namespaces", GONE)}
    surplus = Thing(Kind.PID, sandbox_id, "/")
    things = everything(sandbox_id, container_id)
    inventory.looks = [[*things, Thing(Kind.ROOT, GONE, "/x"), surplus]] * 2 + [[*things, surplus]]
    report = await checker.check(repair=True)
    assert house.world.things == before
    assert report.done == (f"gave back what was left of {GONE}",)
    assert [(each.what, each.hint) for each in report.findings] == [("pid namespace", "stop the pod or container")]


async def test_what_cannot_be_given_back_is_told(
    house: House, checker: Checker, inventory: FakeInventory
) -> None:
    house.world.things.add(("rootfs", GONE))
    house.world.fail["Rootfs.remove"] = FailedPrecondition("disk says no")
    inventory.looks = [[Thing(Kind.ROOT, GONE, "/x")]]
    report = await checker.check(repair=True)
    assert report.done == (f"could not give back all of {GONE}: disk says no",)
    assert len(report.findings) == 1


async def test_a_prefix_of_an_id_is_nobodys(house: House, checker: Checker, inventory: FakeInventory) -> None:
    sandbox_id, container_id = await house.running()
    inventory.looks = [[*everything(sandbox_id, container_id), Thing(Kind.POD_FILES, sandbox_id[:5], "/x")]]
    assert await verdicts(checker) == [(Verdict.LEFT_OVER, "pod files", sandbox_id[:5])]


async def test_deletes_on_which_nobody_works(house: House, checker: Checker) -> None:
    sandbox_id, container_id = await house.running()
    await house.sandboxes.update(sandbox_id, state=SandboxState.STOPPING)
    await house.containers.update(container_id, state=ContainerState.REMOVING)
    assert await verdicts(checker) == [
        (Verdict.UNFINISHED, "stopping it", "default/web"),
        (Verdict.UNFINISHED, "removing it", "default/web/main"),
    ]


async def test_a_delete_that_is_at_work_is_no_finding(house: House, checker: Checker) -> None:
    sandbox_id, container_id = await house.running()
    await house.containers.update(container_id, state=ContainerState.REMOVING)
    await house.sandboxes.update(sandbox_id, state=SandboxState.STOPPING)
    running = {(STOP_POD, sandbox_id)}
    house.operations.running = running.__contains__  # type: ignore[method-assign, assignment]
    assert await verdicts(checker) == [(Verdict.UNFINISHED, "removing it", "default/web/main")]


async def test_undos_that_failed_and_records_set_aside(house: House, checker: Checker) -> None:
    await house.journal.record(Step("RunPodSandbox", GONE, "network"))
    house.sandboxes.damaged[GONE] = "stored Sandbox record is damaged"
    assert await verdicts(checker) == [
        (Verdict.UNFINISHED, "undo of network of RunPodSandbox", GONE[:13]),
        (Verdict.DAMAGED, "record of pod sandbox", GONE[:13]),
    ]


async def test_pods_and_containers_alone(house: House, inventory: FakeInventory, checker: Checker) -> None:
    inventory.looks = [[Thing(Kind.ROOT, GONE, "/x")]]
    assert [(each.verdict, each.what) for each in await checker.kernel()] == [(Verdict.LEFT_OVER, Kind.ROOT)]
