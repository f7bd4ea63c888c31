"""The table of tasks."""

import json
import sqlite3

from tp_mcp.watch.delivery.tasks import MAX_TASKS, TaskEnd, TaskState, WatchTask
from tp_mcp.watch.model.until import Until
from tp_mcp.watch.model.watch import Owner


def add(db: sqlite3.Connection, task: WatchTask) -> bool:
    """Write a task, and drop those that expired; False where its principal has too many."""
    db.execute("DELETE FROM tasks WHERE expires_at < ?", (task.created_at,))
    sql = "SELECT count(*) FROM tasks WHERE principal = ?"
    if db.execute(sql, (task.owner.principal,)).fetchone()[0] >= MAX_TASKS:
        return False
    db.execute(
        "INSERT INTO tasks (id, principal, conversation, conversation_exact, watch_ids, stood, until, created_at, "
        "expires_at, state, text, is_error, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, '[]')",
        (
            task.id,
            task.owner.principal,
            task.owner.conversation,
            int(task.owner.exact),
            json.dumps(task.watch_ids),
            json.dumps(task.stood),
            task.until.value,
            task.created_at,
            task.expires_at,
            task.state.value,
        ),
    )
    return True


def find(db: sqlite3.Connection, task_id: str) -> WatchTask | None:
    """Return a task."""
    row = db.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is None:
        return None
    return WatchTask(
        id=row["id"],
        owner=Owner(row["principal"], row["conversation"], bool(row["conversation_exact"])),
        watch_ids=tuple(json.loads(row["watch_ids"])),
        stood=tuple(json.loads(row["stood"])),
        until=Until(row["until"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        state=TaskState(row["state"]),
        ended_at=row["ended_at"],
        text=row["text"],
        is_error=bool(row["is_error"]),
        told=tuple(json.loads(row["told"])),
    )


def end(db: sqlite3.Connection, task_id: str, how: TaskEnd) -> WatchTask | None:
    """End a task unless it has ended; return it as it stands then."""
    db.execute(
        "UPDATE tasks SET state = ?, ended_at = ?, text = ?, is_error = ?, told = ? WHERE id = ? AND ended_at IS NULL",
        (how.state.value, how.at, how.text, int(how.is_error), json.dumps(how.told), task_id),
    )
    return find(db, task_id)
