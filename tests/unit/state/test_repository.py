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


async def test_what_is_set_aside_is_kept_with_its_reason_and_frees_its_name(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    await sandboxes.insert(row("a"), Step("Run", "a", "files"))
    await sandboxes.insert(row("b", "other"), Step("Run", "b", "files"))
    await database.write(lambda connection: connection.execute("UPDATE sandboxes SET record = x'7b' WHERE id = 'b'"))
    again = Sandboxes(database)
    assert [each.id for each in again] == ["a"] and again.damaged.keys() == {"b"}
    again.damaged["a"] = "somebody knows better"
    await again.quarantine()
    assert list(again) == [] and again.find("a") is None
    kept = database.read("SELECT noun, id, error FROM damaged ORDER BY id")
    assert kept[0] == ("pod sandbox", "a", "somebody knows better")
    assert kept[1][:2] == ("pod sandbox", "b") and "damaged" in str(kept[1][2])
    await again.insert(row("c"), Step("Run", "c", "files"))
    database.close()


async def test_a_watcher_hears_of_each_commit_with_all_rows_as_it_left_them(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    heard: list[tuple[SandboxState | None, SandboxState | None, int]] = []

    def watcher(old: Sandbox | None, new: Sandbox | None) -> None:
        heard.append((old.state if old else None, new.state if new else None, len(sandboxes)))

    sandboxes.watch(watcher)
    creating, ready = SandboxState.CREATING, SandboxState.READY
    await sandboxes.insert(row("a"), Step("Run", "a", "files"))
    await asyncio.gather(sandboxes.update("a", state=ready), sandboxes.delete("a"))
    await sandboxes.delete("a")
    with pytest.raises(NotFound):
        await sandboxes.update("a", state=ready)
    assert heard == [(None, creating, 1), (creating, ready, 1), (ready, None, 0), (None, None, 0)]
    database.close()
