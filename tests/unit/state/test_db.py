import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from criserver.errors import Internal
from criserver.state.db import Database
from criserver.state.migrations import MIGRATIONS


async def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO facts VALUES ('a', '1')")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await database.write(half)
    assert database.read("SELECT * FROM facts") == []
    database.close()


async def test_memory_changes_after_the_commit_and_in_its_order(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    seen: list[int] = []

    def numbered(number: int) -> Callable[[sqlite3.Connection], int]:
        return lambda _: number

    writes = [database.write(numbered(number), seen.append) for number in range(50)]
    assert await asyncio.gather(*writes) == list(range(50)) == seen
    database.close()


async def test_a_commit_outlives_its_caller_and_the_process(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    task = asyncio.get_running_loop().create_task(
        database.write(lambda connection: connection.execute("INSERT INTO facts VALUES ('a', '1')"))
    )
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    database.close()
    assert Database(str(tmp_path / "a.db")).read("SELECT value FROM facts") == [("1",)]


def test_the_file_is_private_and_migrated(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    assert stat.S_IMODE(os.stat(database.path).st_mode) == 0o600
    assert database.read("PRAGMA user_version") == [(len(MIGRATIONS),)]
    database.close()


def test_a_newer_or_foreign_file_is_refused(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(Internal, match="version 99"):
        Database(str(tmp_path / "newer.db"))
    (tmp_path / "text.db").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(Internal, match="cannot be used"):
        Database(str(tmp_path / "text.db"))
