"""The journal: steps that were begun and are not settled yet.

A step is recorded before it is done, so whatever the kernel holds of an unfinished operation has a row here. A create
settles all its steps in the commit that makes its object visible; a failed one takes each step out once it is undone.
What is left after a crash is what recovery has to undo or to finish.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from criserver.state.db import Database


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an operation on a subject (a sandbox or container id); `detail` is what its undo needs besides."""

    operation: str
    subject: str
    step: str
    detail: str = ""

    def insert(self, connection: sqlite3.Connection) -> None:
        """Record the step in a transaction of someone else's."""
        connection.execute(
            "INSERT INTO journal (operation, subject, step, detail) VALUES (?, ?, ?, ?)",
            (self.operation, self.subject, self.step, self.detail),
        )


class Journal:
    """The repository of open steps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, step: Step) -> None:
        """Note a step that is about to be done."""
        await self._database.write(step.insert)

    async def settle(self, subject: str, step: str | None = None) -> None:
        """Take out a subject's step (every step with None): done for good, or undone."""

        def transaction(connection: sqlite3.Connection) -> None:
            if step is None:
                connection.execute("DELETE FROM journal WHERE subject = ?", (subject,))
            else:
                connection.execute("DELETE FROM journal WHERE subject = ? AND step = ?", (subject, step))

        await self._database.write(transaction)

    async def open_steps(self) -> tuple[Step, ...]:
        """Every open step, newest first: the order in which undoing them is right."""

        def transaction(connection: sqlite3.Connection) -> tuple[Step, ...]:
            query = "SELECT operation, subject, step, detail FROM journal ORDER BY number DESC"
            return tuple(Step(*row) for row in connection.execute(query))

        return await self._database.write(transaction)
