"""Events on their way as rows."""

import json
import sqlite3
from collections.abc import Collection, Sequence

from tp_mcp.storage.engines.sqlite import Connection
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing

_QUEUE = """
    INSERT INTO outgoing (id, endpoint, event, watch_id, body, created_at, attempts, due_at)
    SELECT :id, :endpoint, :event, :watch_id, :body, :created_at, 0, :created_at
    WHERE :event = 'end' OR NOT EXISTS (SELECT 1 FROM inbox WHERE watch_id = :watch_id)
    ON CONFLICT (endpoint, watch_id, event) DO UPDATE SET
        id = excluded.id, body = excluded.body, created_at = excluded.created_at, attempts = 0, due_at = excluded.due_at
"""


def queue(db: sqlite3.Connection, events: Sequence[Outgoing]) -> None:
    """Write events, in a transaction of the store."""
    for event in events:
        if event.kind is EventKind.END:
            db.execute(
                "DELETE FROM outgoing WHERE endpoint = ? AND watch_id = ? AND event = ?",
                (event.endpoint, event.watch_id, EventKind.PROGRESS.value),
            )
        row = {
            "id": event.id,
            "endpoint": event.endpoint,
            "event": event.kind.value,
            "watch_id": event.watch_id,
            "body": event.body,
            "created_at": event.created_at,
        }
        db.execute(_QUEUE, row)


class SqliteOutbox:
    """The outbox over the store's connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def queue(self, events: Sequence[Outgoing]) -> None:
        """Write events, each in place of an older one of the same kind for the same endpoint and watch."""
        await self._connection.write(lambda db: queue(db, events))

    async def claim(self, endpoint: str, *, now: float, until: float) -> Outgoing | None:
        """Return the event of an endpoint that is due for longest, and nobody else's before `until`."""
        look = "SELECT id FROM outgoing WHERE endpoint = ? AND due_at <= ? ORDER BY due_at, created_at LIMIT 1"
        due = await self._connection.run(lambda db: db.execute(look, (endpoint, now)).fetchone())
        if due is None:
            # So it is most of the time, and looking takes no lock.
            return None
        take = "UPDATE outgoing SET due_at = ? WHERE id = ? AND due_at <= ? RETURNING *"
        row = await self._connection.write(lambda db: db.execute(take, (until, due["id"], now)).fetchone())
        if row is None:
            # Another process was quicker.
            return None
        return Outgoing(
            id=row["id"],
            endpoint=row["endpoint"],
            kind=EventKind(row["event"]),
            watch_id=row["watch_id"],
            body=row["body"],
            created_at=row["created_at"],
            attempts=row["attempts"],
        )

    async def arrived(self, event_id: str) -> None:
        """Drop an event: it arrived, or is given up."""
        await self._connection.write(lambda db: db.execute("DELETE FROM outgoing WHERE id = ?", (event_id,)))

    async def retry(self, event_id: str, *, at: float) -> None:
        """Count a failed attempt; the event is due again at a time."""
        sql = "UPDATE outgoing SET attempts = attempts + 1, due_at = ? WHERE id = ?"
        await self._connection.write(lambda db: db.execute(sql, (at, event_id)))

    async def drop_forgotten(self, endpoints: Collection[str], *, before: float) -> int:
        """Drop events written before a time for other endpoints than these; return how many."""
        sql = "DELETE FROM outgoing WHERE created_at < ? AND endpoint NOT IN (SELECT value FROM json_each(?))"
        values = (before, json.dumps(sorted(endpoints)))
        return await self._connection.write(lambda db: db.execute(sql, values).rowcount)
