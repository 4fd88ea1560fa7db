"""What the sandbox and container repositories share: rows in memory that change only after their commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from criserver.errors import CriError, Internal, InvalidArgument, NotFound
from criserver.state.codec import decode, encode
from criserver.state.journal import Step

if TYPE_CHECKING:
    from criserver.model.container import Container
    from criserver.model.sandbox import Sandbox
    from criserver.state.db import Database

R = TypeVar("R", "Sandbox", "Container")


class Repository(Generic[R]):
    """Records of one kind by id, with the CRI's lookup by unique prefix. Subclasses say the table's own columns."""

    noun: str
    table: str
    kind: type[R]

    def __init__(self, database: Database) -> None:
        """Load every row; those that do not decode go to `damaged` (id → why) and are set aside by `quarantine`."""
        self._database = database
        self._rows: dict[str, R] = {}
        self._watcher: Callable[[R | None, R | None], None] | None = None
        self.damaged: dict[str, str] = {}
        for key, record in database.read(f"SELECT id, record FROM {self.table}"):
            try:
                self._rows[str(key)] = decode(self.kind, bytes(record))  # type: ignore[call-overload]
            except Internal as error:
                self.damaged[str(key)] = str(error)

    def __iter__(self) -> Iterator[R]:
        return iter(tuple(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, record_id: str) -> R | None:
        """The record of this id or unique prefix; None when there is none, InvalidArgument when several match."""
        exact = self._rows.get(record_id)
        if exact is not None or not record_id:
            return exact
        matches = [key for key in tuple(self._rows) if key.startswith(record_id)]
        if len(matches) > 1:
            raise InvalidArgument(f"{self.noun} id {record_id!r} is ambiguous: {len(matches)} ids start with it")
        return self._rows.get(matches[0]) if matches else None

    def get(self, record_id: str) -> R:
        """As `find`, but NotFound when there is none."""
        record = self.find(record_id)
        if record is None:
            raise NotFound(f"{self.noun} {record_id!r} does not exist")
        return record

    async def insert(self, record: R, step: Step) -> None:
        """Reserve the record's name and begin its journal in one commit; AlreadyExists names the holder."""
        columns = self.columns(record)

        def transaction(connection: sqlite3.Connection) -> None:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            connection.execute(f"INSERT INTO {self.table} ({names}) VALUES ({marks})", tuple(columns.values()))
            step.insert(connection)

        try:
            await self._database.write(transaction, lambda _: self._put(record))
        except sqlite3.IntegrityError as error:
            raise self.refused(record, error) from error

    async def update(self, record_id: str, *, settle: bool = False, **changes: Any) -> R:
        """Change fields in one commit; with `settle` the subject's journal ends in the same commit."""

        def transaction(connection: sqlite3.Connection) -> R:
            record: R = replace(self.get(record_id), **changes)
            connection.execute(
                f"UPDATE {self.table} SET state = ?, record = ? WHERE id = ?", (record.state, encode(record), record.id)
            )
            if settle:
                connection.execute("DELETE FROM journal WHERE subject = ?", (record.id,))
            return record

        return await self._database.write(transaction, self._put)

    async def delete(self, record_id: str) -> None:
        """Drop the row; its journal keeps what could not be undone. Idempotent."""

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute(f"DELETE FROM {self.table} WHERE id = ?", (record_id,))

        await self._database.write(transaction, lambda _: self._drop(record_id))

    async def quarantine(self) -> None:
        """Move rows in `damaged` to the table of that name: their names and things are free again."""

        def transaction(connection: sqlite3.Connection) -> None:
            for key, error in self.damaged.items():
                connection.execute(
                    f"INSERT INTO damaged SELECT ?, id, record, ? FROM {self.table} WHERE id = ?",
                    (self.noun, error, key),
                )
                connection.execute(f"DELETE FROM {self.table} WHERE id = ?", (key,))

        def then(_: None) -> None:
            for key in self.damaged:
                self._drop(key)

        await self._database.write(transaction, then)

    def watch(self, watcher: Callable[[R | None, R | None], None]) -> None:
        """Call `watcher` with a record's old and new value after each commit that changes it, None where there is none.

        It is called in the writer thread, so in the order of commits and before the next one, of whichever repository:
        all rows are then as that commit left them. It must be quick and must not fail.
        """
        self._watcher = watcher

    def columns(self, record: R) -> dict[str, object]:
        """The row of a record, by column."""
        raise NotImplementedError

    def refused(self, record: R, error: sqlite3.IntegrityError) -> CriError:
        """What a violated constraint means to the caller."""
        raise NotImplementedError

    def _put(self, record: R) -> None:
        self._set(record.id, record)

    def _drop(self, record_id: str) -> None:
        self._set(record_id, None)

    def _set(self, record_id: str, record: R | None) -> None:
        old = self._rows.get(record_id)
        if record is not None:
            self._rows[record_id] = record
        elif old is not None:
            del self._rows[record_id]
        if self._watcher is not None:
            self._watcher(old, record)
