from pathlib import Path

from criserver.state.db import Database
from criserver.state.journal import Journal, Step


async def test_open_steps_come_newest_first_and_end_when_settled(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    journal = Journal(database)
    steps = [Step("RunPodSandbox", "a", "files"), Step("RunPodSandbox", "a", "network", "{}"), Step("X", "b", "files")]
    for step in steps:
        await journal.record(step)
    assert await journal.open_steps() == tuple(reversed(steps))
    await journal.settle("a", "network")
    assert await journal.open_steps() == (steps[2], steps[0])
    await journal.settle("a")
    assert await journal.open_steps() == (steps[2],)
    database.close()
