"""Which ids have been read: known at once, kept over a restart."""

from __future__ import annotations

from tests.support.world import House, container, pod


async def test_an_id_counts_as_read_at_once_and_after_a_restart(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    container_id = await house.lives.create(sandbox_id, container())
    rows = house.sandboxes.get(sandbox_id), house.containers.get(container_id)
    assert [house.deliveries.noted(row) for row in rows] == [False, False]
    for row in rows:
        house.deliveries.note(row.id)
        house.deliveries.note(row.id)
    assert [house.deliveries.noted(row) for row in rows] == [True, True], "before anything is written"
    assert await house.tasks.drain(30) == 0
    assert house.sandboxes.get(sandbox_id).delivered and house.containers.get(container_id).delivered
    assert house.deliveries._noted == set()
    again = house.restarted()
    assert again.deliveries.noted(again.sandboxes.get(sandbox_id))
    again.database.close()
    house.__post_init__()


async def test_an_object_that_went_meanwhile(house: House) -> None:
    sandbox_id = await house.pods.run(pod(), "")
    row = house.sandboxes.get(sandbox_id)
    await house.pods.remove(sandbox_id)
    house.deliveries.note(sandbox_id)
    assert await house.tasks.drain(30) == 0
    assert not house.deliveries.noted(row) and len(house.sandboxes) == 0
