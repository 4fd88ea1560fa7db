import asyncio
from pathlib import Path

import pytest

from criserver.errors import AlreadyExists, InvalidArgument, NotFound
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxState
from criserver.state.db import Database
from criserver.state.journal import Journal, Step
from criserver.state.sandboxes import Sandboxes


def row(key: str, name: str = "web") -> Sandbox:
    return Sandbox(key, SandboxConfig(PodMetadata(name, "uid", "ns")), "runc", SandboxState.CREATING, 1)


async def test_rows_survive_and_are_found_by_unique_prefix(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    await sandboxes.insert(row("aa1"), Step("Run", "aa1", "files"))
    await sandboxes.insert(row("aa2", "other"), Step("Run", "aa2", "files"))
    database.close()
    database = Database(str(tmp_path / "a.db"))
    again = Sandboxes(database)
    assert again.get("aa1") == row("aa1") and again.find("aa2") == row("aa2", "other")
    with pytest.raises(InvalidArgument, match="2 ids"):
        again.find("aa")
    with pytest.raises(NotFound, match="'b'"):
        again.get("b")
    assert again.find("") is None
    database.close()


async def test_a_name_is_reserved_once_and_free_after_delete(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    await sandboxes.insert(row("a"), Step("Run", "a", "files"))
    with pytest.raises(AlreadyExists, match="sandbox a"):
        await sandboxes.insert(row("b"), Step("Run", "b", "files"))
    assert [step.subject for step in await Journal(database).open_steps()] == ["a"]
    await sandboxes.delete("a")
    await sandboxes.insert(row("b"), Step("Run", "b", "files"))
    assert [each.id for each in sandboxes] == ["b"]
    database.close()


async def test_changes_of_one_row_never_lose_each_other(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    await sandboxes.insert(row("a"), Step("Run", "a", "files"))
    await asyncio.gather(
        sandboxes.update("a", state=SandboxState.READY, settle=True),
        sandboxes.update("a", ips=("10.0.0.1",)),
        sandboxes.update("a", delivered=True),
    )
    now = sandboxes.get("a")
    assert (now.state, now.ips, now.delivered) == (SandboxState.READY, ("10.0.0.1",), True)
    assert await Journal(database).open_steps() == ()
    database.close()
