"""Traces of operations, kept with the pods that they made, and of pods that are gone for a while longer.

Not facts that anything decides by: they are read when somebody asks, and written beside the requests that they tell of.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import Final

from criserver.errors import Internal
from criserver.observe.trace import Trace
from criserver.state.codec import decode, encode
from criserver.state.db import Database

PER_POD: Final = 64
"""Operations kept of one pod: its own RunPodSandbox, and the newest others."""
OF_GONE: Final = 256
"""Operations kept of pods that are gone, all together."""
_SWEEP: Final = 32
_LEVEL: Final = 1


class Traces:
    """The repository of traces."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._added = 0

    async def add(self, trace: Trace) -> None:
        """Keep a trace, and drop what is too much."""
        self._added += 1
        sweep = self._added % _SWEEP == 1

        def transaction(connection: sqlite3.Connection) -> None:
            record = zlib.compress(encode(trace), _LEVEL)
            connection.execute(
                "INSERT INTO traces (sandbox_id, pod, operation, record) VALUES (?, ?, ?, ?)",
                (trace.sandbox_id, trace.pod, trace.operation, record),
            )
            connection.execute(
                "DELETE FROM traces WHERE number IN (SELECT number FROM traces WHERE sandbox_id = ?"
                " ORDER BY operation = 'RunPodSandbox' DESC, number DESC LIMIT -1 OFFSET ?)",
                (trace.sandbox_id, PER_POD),
            )
            if sweep:
                connection.execute(
                    "DELETE FROM traces WHERE number IN (SELECT number FROM traces"
                    " WHERE sandbox_id NOT IN (SELECT id FROM sandboxes) ORDER BY number DESC LIMIT -1 OFFSET ?)",
                    (OF_GONE,),
                )

        await self._database.write(transaction)

    async def of(self, pod: str) -> tuple[Trace, ...]:
        """Traces of the pod with that id, beginning of an id, or namespace/name, oldest first."""

        def transaction(connection: sqlite3.Connection) -> list[bytes]:
            query = "SELECT record FROM traces WHERE pod = ?1 OR substr(sandbox_id, 1, length(?1)) = ?1 ORDER BY number"
            return [bytes(row[0]) for row in connection.execute(query, (pod,))]

        found = []
        for record in await self._database.write(transaction):
            try:
                found.append(decode(Trace, zlib.decompress(record)))
            except (Internal, zlib.error):
                continue  # written by another version, or damaged: what is left is still worth telling
        return tuple(found)

    async def count(self) -> int:
        """How many there are."""
        return await self._database.write(
            lambda connection: int(connection.execute("SELECT COUNT(*) FROM traces").fetchone()[0])
        )
