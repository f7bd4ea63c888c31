"""What is added to an end after it was written, and which ends it may still be added to."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from tp_mcp.watch import words
from tp_mcp.watch.sqlite.rows import Row, row_to_watch, watch_to_row
from tp_mcp.watch.states import Watch


def add_brief(db: sqlite3.Connection, watch_id: str, brief: str) -> Watch | None:
    """Add a brief to an ended watch and to its entry in the inbox; return the watch, None where there is none."""
    row = db.execute("SELECT * FROM watches WHERE id = ? AND ended_at IS NOT NULL", (watch_id,)).fetchone()
    if row is None:
        return None
    before = row_to_watch(row)
    watch = replace(before, brief=brief, revision=before.revision + 1)
    # Nothing else of the row: the step that follows it may have been taken meanwhile.
    sql = "UPDATE watches SET record = :record, revision = :revision WHERE id = :id"
    db.execute(sql, watch_to_row(watch))
    db.execute("UPDATE inbox SET text = ? WHERE watch_id = ?", (words.end_message(watch), watch_id))
    return watch


def ended_since(db: sqlite3.Connection, server: str, *, since: float, limit: int) -> Sequence[Row]:
    """Return the newest watches of one TP that ended since a time, the newest first."""
    sql = "SELECT * FROM watches WHERE server = ? AND ended_at >= ? ORDER BY ended_at DESC, id LIMIT ?"
    return db.execute(sql, (server, since, limit)).fetchall()
