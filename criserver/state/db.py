"""The database file: opening, migrations, and the one thread that writes.

SQLite in WAL mode with synchronous=NORMAL: a commit survives the daemon's death at any instruction; a power loss may
take the last commits, never the file's integrity (sqlite.org/wal.html), and with the power went every container.
Writes run in one thread, in order, so the event loop never waits for the disk and transactions never collide.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from criserver.errors import CriError, Internal, ResourceExhausted
from criserver.state.migrations import MIGRATIONS

T = TypeVar("T")
Transaction = Callable[[sqlite3.Connection], T]


class Database:
    """One open database. `write` commits a transaction in the writer thread; `read` is for start-up only."""

    def __init__(self, path: str) -> None:
        """Open or create `path` (mode 0600) and migrate it; Internal when it is not a usable database."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state")
        self.path = path
        try:
            self._connection = self._writer.submit(_open, path).result()
        except sqlite3.Error as error:
            self._writer.shutdown()
            raise Internal(f"state database {path} cannot be used: {error}") from error

    async def write(self, transaction: Transaction[T], then: Callable[[T], None] | None = None) -> T:
        """Run `transaction` in one commit, all of it or nothing; cancelling the caller does not stop it.

        `then` gets its result after the commit and before the next transaction, still in the writer thread:
        the place to change a repository's rows in memory.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, self._commit, transaction, then))

    def read(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Rows of a query, blocking: for loading repositories before the socket opens."""
        return self._writer.submit(lambda: self._connection.execute(query, parameters).fetchall()).result()

    def close(self) -> None:
        """Finish queued writes and close the file."""
        self._writer.submit(self._connection.close).result()
        self._writer.shutdown()

    def _commit(self, transaction: Transaction[T], then: Callable[[T], None] | None) -> T:
        try:
            result = self._transact(transaction)
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        if then is not None:
            then(result)
        return result

    def _transact(self, transaction: Transaction[T]) -> T:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = transaction(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk may have ended it already
                connection.execute("ROLLBACK")
            raise
        return result

    def _failure(self, error: sqlite3.OperationalError) -> CriError:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return ResourceExhausted(f"no space left for the state database {self.path}: free some on its file system")
        return Internal(f"state database {self.path}: {error}")


def _open(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-512")
    _migrate(connection)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Internal(f"the state database has version {version}, this server knows {len(MIGRATIONS)}: upgrade it")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in script:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
