"""What waits to be seen, read from its rows."""

import json
import sqlite3
from collections.abc import Collection

from tp_mcp.watch.owner import Owner
from tp_mcp.watch.ports import LeastShown
from tp_mcp.watch.sqlite.rows import row_to_entry
from tp_mcp.watch.states import InboxEntry

_OF_OWNER = "FROM inbox WHERE principal = ? AND conversation = ? AND seen_at IS NULL"
_UNSEEN = f"SELECT * {_OF_OWNER}"
_COUNT_UNSEEN = f"SELECT count(*) {_OF_OWNER}"


def unseen(db: sqlite3.Connection, owner: Owner) -> tuple[InboxEntry, ...]:
    """Return the entries that a conversation has not seen, oldest first."""
    sql = f"{_UNSEEN} ORDER BY created_at, watch_id"
    return tuple(row_to_entry(row) for row in db.execute(sql, _of(owner)))


def unseen_of(
    db: sqlite3.Connection, owner: Owner, *, watch_ids: Collection[str], job: str | None
) -> tuple[InboxEntry, ...]:
    """Return those of them which are of some watches or of a job."""
    sql = f"{_UNSEEN} AND (watch_id IN (SELECT value FROM json_each(?)) OR job = ?)"  # noqa: S608 -- a constant
    values = (*_of(owner), json.dumps(sorted(watch_ids)), job)
    return tuple(row_to_entry(row) for row in db.execute(sql, values))


def least_shown(db: sqlite3.Connection, owner: Owner, *, but_for: Collection[str], limit: int) -> LeastShown:
    """Return the first of them, the least shown, of those the newest; however many there are, only those are read."""
    others = "AND watch_id NOT IN (SELECT value FROM json_each(?))"
    values = (*_of(owner), json.dumps(sorted(but_for)))
    sql = f"{_UNSEEN} {others} ORDER BY showings, created_at DESC, watch_id LIMIT ?"
    rows = db.execute(sql, (*values, limit)).fetchall()
    total = len(rows)
    if total == limit:
        # Counted only where there may be more: who has few is answered with one look.
        total = db.execute(f"{_COUNT_UNSEEN} {others}", values).fetchone()[0]
    return LeastShown(tuple(row_to_entry(row) for row in rows), total)


def _of(owner: Owner) -> tuple[str, str]:
    return owner.principal, owner.conversation
