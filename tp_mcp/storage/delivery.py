"""Ways by which an end arrives besides the inbox: events for webhooks, tasks, and the log of deliveries.

The ports in `tp_mcp.watch.delivery` document the methods.
"""

import json
from collections.abc import Collection, Sequence

from tp_mcp.storage.table import Db, Row, Table
from tp_mcp.storage.watch_rows import owner_columns, owner_of
from tp_mcp.watch.delivery.delivery_log import Delivery
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing
from tp_mcp.watch.delivery.tasks import MAX_TASKS, TaskEnd, TaskState, WatchTask
from tp_mcp.watch.delivery.waiting import Until

_QUEUE = """
    INSERT INTO outgoing (id, endpoint, event, watch_id, body, created_at, attempts, due_at)
    SELECT :id, :endpoint, :event, :watch_id, :body, :created_at, 0, :created_at
    WHERE :event = 'end' OR NOT EXISTS (SELECT 1 FROM inbox WHERE watch_id = :watch_id)
    ON CONFLICT (endpoint, watch_id, event) DO UPDATE SET
        id = excluded.id, body = excluded.body, created_at = excluded.created_at, attempts = 0, due_at = excluded.due_at
"""


def queue_events(db: Db, events: Sequence[Outgoing]) -> None:
    """Write events, in a transaction of the caller."""
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


class OutboxTable(Table):
    """Keeps events until they arrived."""

    async def queue(self, events: Sequence[Outgoing]) -> None:
        await self._database.write(lambda db: queue_events(db, events))

    async def claim(self, endpoint: str, *, now: float, until: float) -> Outgoing | None:
        look = "SELECT id FROM outgoing WHERE endpoint = ? AND due_at <= ? ORDER BY due_at, created_at LIMIT 1"
        due = await self._first(lambda row: row["id"], look, (endpoint, now))
        if due is None:
            # The usual case, and a read takes no lock.
            return None
        take = "UPDATE outgoing SET due_at = ? WHERE id = ? AND due_at <= ? RETURNING *"
        row = await self._database.write(lambda db: db.execute(take, (until, due, now)).fetchone())
        # None where another process was quicker.
        return None if row is None else _event(row)

    async def arrived(self, event_id: str) -> None:
        await self._change("DELETE FROM outgoing WHERE id = ?", (event_id,))

    async def retry(self, event_id: str, *, at: float) -> None:
        await self._change("UPDATE outgoing SET attempts = attempts + 1, due_at = ? WHERE id = ?", (at, event_id))

    async def drop_forgotten(self, endpoints: Collection[str], *, before: float) -> int:
        sql = "DELETE FROM outgoing WHERE created_at < ? AND endpoint NOT IN (SELECT value FROM json_each(?))"
        return await self._change(sql, (before, json.dumps(sorted(endpoints))))


def _event(row: Row) -> Outgoing:
    return Outgoing(
        id=row["id"],
        endpoint=row["endpoint"],
        kind=EventKind(row["event"]),
        watch_id=row["watch_id"],
        body=row["body"],
        created_at=row["created_at"],
        attempts=row["attempts"],
    )


class TaskTable(Table):
    """Keeps the tasks by which clients ask for results later."""

    async def add_task(self, task: WatchTask) -> bool:
        count = "SELECT count(*) FROM tasks WHERE principal = ?"
        insert = (
            "INSERT INTO tasks (id, principal, conversation, conversation_exact, watch_ids, stood, until, created_at, "
            "expires_at, state, text, is_error, told) VALUES (:id, :principal, :conversation, :conversation_exact, "
            ":watch_ids, :stood, :until, :created_at, :expires_at, :state, '', 0, '[]')"
        )
        row = {
            "id": task.id,
            **owner_columns(task.owner),
            "watch_ids": json.dumps(task.watch_ids),
            "stood": json.dumps(task.fingerprints),
            "until": task.until.value,
            "created_at": task.created_at,
            "expires_at": task.expires_at,
            "state": task.state.value,
        }

        def write(db: Db) -> bool:
            db.execute("DELETE FROM tasks WHERE expires_at < ?", (task.created_at,))
            if db.execute(count, (task.owner.principal,)).fetchone()[0] >= MAX_TASKS:
                return False
            db.execute(insert, row)
            return True

        return await self._database.write(write)

    async def task(self, task_id: str) -> WatchTask | None:
        return await self._first(_task, "SELECT * FROM tasks WHERE id = ?", (task_id,))

    async def end_task(self, task_id: str, end: TaskEnd) -> WatchTask | None:
        sql = (
            "UPDATE tasks SET state = ?, ended_at = ?, text = ?, is_error = ?, told = ? "
            "WHERE id = ? AND ended_at IS NULL"
        )
        values = (end.state.value, end.at, end.text, int(end.is_error), json.dumps(end.reported), task_id)

        def write(db: Db) -> WatchTask | None:
            db.execute(sql, values)
            row = db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
            return None if row is None else _task(row)

        return await self._database.write(write)


def _task(row: Row) -> WatchTask:
    return WatchTask(
        id=row["id"],
        owner=owner_of(row),
        watch_ids=tuple(json.loads(row["watch_ids"])),
        fingerprints=tuple(json.loads(row["stood"])),
        until=Until(row["until"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        state=TaskState(row["state"]),
        ended_at=row["ended_at"],
        text=row["text"],
        is_error=bool(row["is_error"]),
        reported=tuple(json.loads(row["told"])),
    )


class DeliveryTable(Table):
    """Keeps, for each watch and channel, how the last delivery of the end went."""

    async def record_delivery(self, delivery: Delivery) -> None:
        sql = (
            "INSERT INTO deliveries (watch_id, channel, outcome, at, times) "
            "SELECT id, ?, ?, ?, ? FROM watches WHERE id = ? "
            "ON CONFLICT (watch_id, channel) DO UPDATE SET outcome = excluded.outcome, at = excluded.at, "
            "times = times + excluded.times"
        )
        values = (delivery.channel, delivery.outcome, delivery.at, delivery.times, delivery.watch_id)
        await self._change(sql, values)

    async def deliveries(self, watch_ids: Sequence[str]) -> tuple[Delivery, ...]:
        sql = "SELECT * FROM deliveries WHERE watch_id IN (SELECT value FROM json_each(?)) ORDER BY rowid"
        return await self._all(lambda row: Delivery(**dict(row)), sql, (json.dumps(watch_ids),))
